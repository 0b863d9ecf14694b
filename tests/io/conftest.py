from tests.datasets.conftest import mmseg_scope  # noqa: F401
