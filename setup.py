"""Package metadata; the versions of requirements.txt, with which the tests run, are the lowest that are allowed."""

from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup

# The published configs are modules of a package of their own, which lies beside this one in a checkout.
CONFIGS = ['udass.configs', *(f'udass.configs.{name}' for name in find_namespace_packages('configs'))]

setup(
    name='udass',
    version='0.1.0',
    description='Unsupervised domain-adaptive semantic segmentation, as a plug-in of MMSegmentation',
    long_description=Path(__file__).with_name('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=[*find_packages(include=['udass', 'udass.*']), *CONFIGS],
    package_dir={'udass.configs': 'configs'},
    entry_points={'console_scripts': ['udass = udass.cli.main:main']},
    package_data={'udass': ['py.typed'], 'udass.configs': ['index.json'], 'udass.visualization': ['templates/*']},
    python_requires='>=3.11',
    install_requires=[
        'torch>=2.14',
        'torchvision>=0.29',
        # The maintained OpenMMLab distribution (import names mmcv, mmengine, mmseg).
        'onedl-mmcv>=2.3.6',
        'onedl-mmengine>=0.10.12',
        'onedl-mmsegmentation>=1.4.2',
        'timm>=1.0.31',
        'opencv-python>=4.14',
        # FFmpeg with an encoder of H.264, which the wheels of OpenCV lack.
        'av>=18.1',
        'numpy>=2.4',
        'scipy>=1.17',
        'pillow>=13',
        'prettytable>=3.18',
        'safetensors>=0.8',
        'huggingface_hub>=2.4',
        'tqdm>=4.70',
        'jinja2>=3.1',
        'matplotlib>=3.11',
    ],
    extras_require={
        'dev': ['pytest>=8', 'pytest-xdist>=3', 'ruff>=0.6', 'mypy>=2'],
        'docs': [
            'mkdocs>=1.6',
            'mkdocs-material>=9.8',
            'mkdocstrings-python>=2',
            'mkdocs-jupyter>=0.26',
            'ipykernel>=7',
        ],
        'export': ['onnx>=1.23', 'onnxscript>=0.7', 'onnxruntime>=1.32'],
        # LoRA of a backbone.
        'lora': ['peft>=0.21'],
        'tensorboard': ['tensorboard>=2.10'],
    },
)
