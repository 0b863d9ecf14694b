"""The two domains of the built-in street scenes and every statistic in which they differ.

A domain never changes what a class is (its shape and its place in a street), only how it looks and how often and
where it stands. Colours are RGB in 0..255; ``Range`` is a (low, high) pair of a uniform draw; lengths are metres,
angles degrees.
"""

from dataclasses import dataclass

Range = tuple[float, float]
Colour = tuple[int, int, int]
Colours = tuple[Colour, ...]


@dataclass(frozen=True)
class Layout:
    """Where the camera is, how wide the street is, and how many things stand in it.

    ``*_share`` are probabilities. The ``vehicle_shares`` give the mix of traffic: car, truck, bus, train, rider on a
    motorcycle, rider on a bicycle. ``*_count`` are means of Poisson draws per street, ``*_spacing`` distances along it.
    """

    camera_height: Range
    focal: Range  # in image widths
    pitch: Range  # positive looks down
    yaw: Range
    lane_width: Range
    lanes: Range  # per direction, both ends possible
    sidewalk_width: Range
    building_height: Range
    building_length: Range
    setback: Range
    section_shares: tuple[float, float, float, float]  # building, park, wall, fence
    crossing_share: float
    parking_share: float
    verge_share: float
    traffic_gap: Range
    parked_gap: Range
    vehicle_shares: tuple[float, float, float, float, float, float]
    pole_spacing: Range
    light_share: float  # of the poles
    sign_share: float  # of the poles
    tree_count: float
    person_count: float
    crossing_person_count: float
    parked_bicycle_count: float
    parked_motorcycle_count: float
    speed: Range  # of the camera, metres per second
    yaw_rate: Range  # degrees per second


@dataclass(frozen=True)
class Palette:
    """Base colours per material; each object draws one and jitters it by ``jitter``."""

    sky_top: Colours
    sky_horizon: Colours
    cloud: Colours
    asphalt: Colours
    marking: Colours
    sidewalk: Colours
    kerb: Colours
    terrain: Colours
    facade: Colours
    roof: Colours
    window: Colours
    frame: Colours
    wall: Colours
    fence: Colours
    pole: Colours
    leaves: Colours
    trunk: Colours
    vehicle: Colours
    heavy: Colours  # trucks, buses, trains
    glass: Colours
    tyre: Colours
    clothes: Colours
    skin: Colours
    jitter: float  # standard deviation of the brightness of one object, fraction
    hue_jitter: float  # standard deviation per channel, grey levels


@dataclass(frozen=True)
class Light:
    """Sun, shade and air."""

    side_contrast: Range  # brightness of the shaded side of the street, relative to the lit one
    facing: Range  # brightness of surfaces that face the camera
    top_down: float  # how much darker the foot of an object is than its head
    shadow: Range  # brightness of the ground below vehicles and trees
    cast_share: float  # probability that the buildings shade a strip of the street
    haze_distance: Range
    clouds: float  # contrast of the clouds, 0..1
    window_glow: float  # share of windows that reflect the sky


@dataclass(frozen=True)
class Surfaces:
    """Amount of texture, standard deviations in grey levels, and share of detailed materials."""

    rough: float  # ground, facades, walls
    smooth: float  # vehicles, people, poles
    leafy: float  # vegetation, terrain
    brick_share: float
    patches: float  # mean number of repaired or stained parts of the road
    crown_blobs: int


@dataclass(frozen=True)
class Sensor:
    """What happens between the scene and the file. Ranges are drawn once per image or clip, noise per frame."""

    exposure: Range
    gamma: Range
    saturation: Range
    red_gain: Range
    blue_gain: Range
    blur: Range  # standard deviation of the Gaussian for an image 384 pixels wide
    vignette: Range  # loss of light in the corners, fraction
    noise: Range  # grey levels
    jpeg_quality: tuple[int, int] | None


@dataclass(frozen=True)
class Domain:
    """All statistics of one domain; ``key`` separates its random streams from those of other domains."""

    name: str
    key: int
    layout: Layout
    palette: Palette
    light: Light
    surfaces: Surfaces
    sensor: Sensor


GAME = Domain(
    name='game',
    key=1,
    layout=Layout(
        camera_height=(1.5, 2.1),
        focal=(0.72, 0.86),
        pitch=(2.0, 5.5),
        yaw=(-4.0, 4.0),
        lane_width=(3.5, 4.1),
        lanes=(1, 2),
        sidewalk_width=(2.5, 4.5),
        building_height=(9.0, 32.0),
        building_length=(10.0, 20.0),
        setback=(0.0, 2.0),
        section_shares=(0.62, 0.20, 0.09, 0.09),
        crossing_share=0.35,
        parking_share=0.35,
        verge_share=0.25,
        traffic_gap=(12.0, 34.0),
        parked_gap=(6.0, 16.0),
        vehicle_shares=(0.68, 0.09, 0.06, 0.05, 0.06, 0.06),
        pole_spacing=(11.0, 20.0),
        light_share=0.35,
        sign_share=0.35,
        tree_count=4.0,
        person_count=6.0,
        crossing_person_count=0.5,
        parked_bicycle_count=0.5,
        parked_motorcycle_count=0.5,
        speed=(4.0, 13.0),
        yaw_rate=(-3.0, 3.0),
    ),
    palette=Palette(
        sky_top=((50, 120, 230), (40, 105, 215), (75, 145, 240)),
        sky_horizon=((165, 210, 250), (190, 220, 250)),
        cloud=((255, 255, 255),),
        asphalt=((56, 58, 66), (66, 66, 74), (48, 50, 58)),
        marking=((245, 245, 245), (240, 205, 60)),
        sidewalk=((196, 184, 168), (178, 176, 180), (205, 192, 160)),
        kerb=((225, 222, 215),),
        terrain=((92, 170, 48), (112, 180, 60), (75, 150, 45)),
        facade=(
            (228, 196, 148),
            (206, 122, 92),
            (152, 182, 208),
            (236, 228, 208),
            (122, 142, 176),
            (222, 170, 110),
            (186, 200, 190),
        ),
        roof=((150, 70, 55), (90, 90, 105), (120, 110, 100)),
        window=((58, 96, 150), (40, 70, 115), (85, 130, 180)),
        frame=((245, 242, 235), (90, 80, 75)),
        wall=((188, 170, 150), (170, 168, 176), (205, 180, 140)),
        fence=((128, 78, 40), (60, 90, 70), (150, 100, 55)),
        pole=((62, 68, 76), (90, 96, 104)),
        leaves=((44, 148, 40), (72, 172, 48), (30, 120, 42)),
        trunk=((104, 66, 38), (88, 58, 36)),
        vehicle=(
            (214, 32, 36),
            (28, 84, 210),
            (244, 196, 30),
            (245, 245, 245),
            (24, 24, 30),
            (30, 160, 90),
            (240, 120, 30),
            (170, 176, 186),
        ),
        heavy=((240, 200, 40), (220, 60, 50), (40, 120, 200), (245, 245, 245), (50, 160, 110)),
        glass=((36, 60, 92), (24, 40, 64)),
        tyre=((20, 20, 22),),
        clothes=(
            (220, 50, 60),
            (40, 90, 210),
            (250, 210, 60),
            (40, 40, 50),
            (245, 245, 245),
            (70, 170, 90),
            (160, 60, 170),
        ),
        skin=((236, 188, 150), (200, 144, 104), (120, 80, 56)),
        jitter=0.06,
        hue_jitter=5.0,
    ),
    light=Light(
        side_contrast=(0.62, 0.78),
        facing=(0.88, 1.05),
        top_down=0.10,
        shadow=(0.45, 0.6),
        cast_share=0.3,
        haze_distance=(420.0, 700.0),
        clouds=0.35,
        window_glow=0.25,
    ),
    surfaces=Surfaces(rough=3.0, smooth=1.5, leafy=9.0, brick_share=0.1, patches=0.5, crown_blobs=14),
    sensor=Sensor(
        exposure=(0.95, 1.08),
        gamma=(0.95, 1.05),
        saturation=(1.05, 1.25),
        red_gain=(0.98, 1.03),
        blue_gain=(0.97, 1.03),
        blur=(0.0, 0.25),
        vignette=(0.0, 0.04),
        noise=(0.0, 1.0),
        jpeg_quality=None,
    ),
)

CAMERA = Domain(
    name='camera',
    key=2,
    layout=Layout(
        camera_height=(1.15, 1.5),
        focal=(0.84, 1.02),
        pitch=(0.5, 3.5),
        yaw=(-3.0, 3.0),
        lane_width=(2.9, 3.4),
        lanes=(1, 2),
        sidewalk_width=(1.8, 3.6),
        building_height=(7.0, 20.0),
        building_length=(7.0, 14.0),
        setback=(0.0, 3.5),
        section_shares=(0.56, 0.24, 0.10, 0.10),
        crossing_share=0.3,
        parking_share=0.7,
        verge_share=0.3,
        traffic_gap=(14.0, 40.0),
        parked_gap=(5.5, 11.0),
        vehicle_shares=(0.71, 0.07, 0.05, 0.04, 0.05, 0.08),
        pole_spacing=(9.0, 18.0),
        light_share=0.3,
        sign_share=0.45,
        tree_count=6.0,
        person_count=8.0,
        crossing_person_count=0.7,
        parked_bicycle_count=1.0,
        parked_motorcycle_count=0.5,
        speed=(3.0, 11.0),
        yaw_rate=(-3.0, 3.0),
    ),
    palette=Palette(
        sky_top=((134, 174, 222), (164, 192, 222), (118, 160, 212)),
        sky_horizon=((204, 220, 236), (196, 212, 230)),
        cloud=((240, 240, 238), (170, 172, 176)),
        asphalt=((88, 88, 92), (76, 76, 80), (102, 101, 102)),
        marking=((206, 206, 202), (190, 188, 180)),
        sidewalk=((176, 164, 152), (160, 154, 150), (186, 172, 152)),
        kerb=((172, 168, 164),),
        terrain=((112, 124, 66), (98, 118, 60), (124, 126, 74)),
        facade=(
            (152, 98, 78),
            (150, 130, 110),
            (168, 158, 146),
            (108, 98, 94),
            (178, 166, 140),
            (120, 74, 62),
            (142, 140, 138),
        ),
        roof=((92, 62, 54), (78, 76, 76), (100, 84, 74)),
        window=((46, 50, 54), (62, 66, 70), (34, 36, 40)),
        frame=((196, 192, 184), (120, 112, 104)),
        wall=((126, 116, 108), (140, 136, 130), (112, 90, 78)),
        fence=((86, 76, 66), (70, 74, 72), (102, 90, 76)),
        pole=((98, 98, 98), (76, 78, 78)),
        leaves=((74, 104, 52), (94, 106, 56), (60, 92, 46), (108, 108, 58)),
        trunk=((74, 62, 54), (60, 52, 48)),
        vehicle=(
            (60, 62, 66),
            (150, 152, 156),
            (196, 196, 194),
            (92, 38, 36),
            (44, 54, 78),
            (36, 38, 40),
            (118, 116, 108),
            (70, 78, 70),
        ),
        heavy=((188, 180, 160), (140, 52, 46), (70, 84, 104), (200, 198, 192), (96, 108, 90)),
        glass=((52, 56, 60), (38, 40, 44)),
        tyre=((36, 36, 36),),
        clothes=((52, 52, 58), (74, 70, 66), (96, 56, 52), (52, 62, 84), (150, 146, 140), (38, 38, 42), (88, 92, 78)),
        skin=((206, 168, 144), (176, 132, 104), (104, 76, 60)),
        jitter=0.12,
        hue_jitter=5.0,
    ),
    light=Light(
        side_contrast=(0.78, 0.95),
        facing=(0.82, 1.0),
        top_down=0.22,
        shadow=(0.5, 0.7),
        cast_share=0.4,
        haze_distance=(180.0, 380.0),
        clouds=0.3,
        window_glow=0.4,
    ),
    surfaces=Surfaces(rough=7.0, smooth=3.5, leafy=14.0, brick_share=0.6, patches=4.0, crown_blobs=22),
    sensor=Sensor(
        exposure=(0.9, 1.1),
        gamma=(0.92, 1.08),
        saturation=(0.8, 1.05),
        red_gain=(0.99, 1.06),
        blue_gain=(0.9, 1.0),
        blur=(0.35, 0.75),
        vignette=(0.1, 0.28),
        noise=(2.0, 4.5),
        jpeg_quality=(55, 80),
    ),
)

DOMAINS = {domain.name: domain for domain in (GAME, CAMERA)}
