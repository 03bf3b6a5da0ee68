"""Where the packages of an environment come from; what is refused is among the hostile files."""

import pytest

from registry.artifacts.findings import Decision
from registry.artifacts.formats import inspect_folder
from tests.registry.artifacts.hostile import harmless_skops


def found(folder_of, name: str, text: str) -> dict[str, str]:
    verdict = inspect_folder(*folder_of({"m": harmless_skops(), name: text.encode()}))
    return {finding.code: finding.text for finding in verdict.findings}


BUILDS = {
    "hatchling": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.build.targets.wheel]
packages = ["src/m"]
[tool.hatch.build.hooks.vcs]
version-file = "_version.txt"
[tool.hatch.version]
source = "vcs"
raw-options = {local_scheme = "no-local-version"}
[tool.hatch.envs.a]
template = "b"
""",
    "setuptools": """
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
packages = ["m"]
[tool.setuptools.dynamic]
version = {attr = "m.version"}
dependencies = {file = ["requirements.txt"]}
[tool.setuptools_scm]
version_file = "m/_version.py"
""",
    "poetry": """
[tool.poetry.dependencies]
python = "^3.11"
numpy = {version = "^2", extras = ["a"]}
[tool.poetry.scripts]
run = "m:run"
[tool.ruff]
line-length = 100
""",
}


class TestInspectPackages:
    @pytest.mark.parametrize(
        "line",
        [
            "scikit-learn==1.9.1", "mlflow", "numpy >= 1.26, < 3", "pandas[parquet,aws]~=3.1",
            "torch==2.1.0+cpu", "x (>=1)", "tomli; python_version < '3.11'", "# words: http://x",
            "scikit-learn==1.9.1  # not http://x", "-r requirements.txt", "-c constraints.txt",
            "--pre", "--only-binary :all:", "a==1 \\\n  --hash=sha256:0a \\\n  --hash=sha256:1b",
            "",
        ],
    )  # fmt: skip
    def test_says_nothing_of_names_and_versions(self, folder_of, line):
        assert found(folder_of, "requirements.txt", f"{line}\n") == {}

    @pytest.mark.parametrize(
        "line",
        [
            "--index-url https://pypi.corp.example/simple", "-i https://u:${KEY}@corp.example/simple",
            "--extra-index-url=https://corp.example", "--find-links https://corp.example/wheels",
            "alpha @ https://corp.example/alpha-1.0-py3-none-any.whl",
            "alpha @ git+https://corp.example/alpha.git@v1.0#subdirectory=py",
            "https://corp.example/a.whl ; python_version < '3.12'", "-e git+https://corp.example/a#egg=a",
        ],
    )  # fmt: skip
    def test_remarks_on_a_source_of_the_authors_own(self, folder_of, line):
        assert found(folder_of, "requirements.txt", line) == {"foreign_package_source": line}

    def test_leaves_the_version_accepted_for_a_remark(self, folder_of):
        files = {"m": harmless_skops(), "requirements.txt": b"-i https://corp.example/simple"}

        assert inspect_folder(*folder_of(files)).decision is Decision.ACCEPTED

    def test_reads_the_environments_of_conda_and_virtualenv(self, folder_of):
        conda = "channels: [conda-forge, defaults]\ndependencies:\n- python=3.11.7\n- pip<=24\n"
        conda += "- conda-forge::numpy>=2\n- pip:\n  - mlflow==3.17.2\nname: mlflow-env\n"
        python = "python: 3.11.7\nbuild_dependencies:\n- pip==24.0\ndependencies:\n"
        python += "- -r requirements.txt\n"

        assert found(folder_of, "conda.yaml", conda) == {}
        assert found(folder_of, "sub/python_env.yaml", python) == {}

    @pytest.mark.parametrize("name", ["pyproject.toml", "sub/pyproject.toml"])
    def test_reads_the_project_of_uv(self, folder_of, name):
        project = '[project]\nname = "m"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
        project += 'dependencies = ["numpy>=2,<3", "mlflow[aws]~=3.17; os_name != \'nt\'"]\n'
        project += '[dependency-groups]\ndev = ["pytest>=8", {include-group = "b"}]\nb = ["ruff"]\n'
        project += '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        project += "[tool.ruff]\nline-length = 100\n[tool.uv]\npackage = false\n"
        project += 'dev-dependencies = ["mypy"]\n'

        assert found(folder_of, name, project) == {}

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("uv.lock", '[[package]]\nname = "m"\nsource = { editable = "." }\n'),
            ("setup.cfg", "[metadata]\nversion = attr: m.__version__\n"),
            ("uv.toml", "[extra-build-dependencies]\nflash = ['numpy']\n"),
            ("setup.cfg", "[options]\ninstall_requires =\n  numpy>=2\n  pandas\n"),
            ("pip.conf", "[global]\ntimeout = 60\nprefer-binary = \n"),
            (".python-version", "3.11.7\n"),
            ("settings.toml", "[own]\nx = 1\n"),
            ("conda.yaml", "dependencies: [python>=3.9, 'python>=3.10,<3.13', python==3.11.*]"),
            ("conda.yaml", "dependencies: [python=3.11.7=h9_cpython, numpy=2.1=py311]"),
        ],
    )  # fmt: skip
    def test_takes_settings_that_name_no_source(self, folder_of, name, text):
        assert found(folder_of, name, text) == {}

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("pip.conf", "[global]\nindex-url = https://corp.example/simple",
             "--index-url https://corp.example/simple"),
            ("pyproject.toml", '[[tool.uv.index]]\nname = "corp"\nurl = "https://corp.example/s"',
             "https://corp.example/s"),
            ("pyproject.toml", '[tool.uv.sources]\na = { git = "https://corp.example/a.git" }',
             "git+https://corp.example/a.git"),
            ("conda.yaml", "channels: [conda-forge, own]", "--channel own"),
            ("conda.yaml", "dependencies: ['own::alpha=1']", "--channel own"),
        ],
    )  # fmt: skip
    def test_remarks_on_a_source_in_any_file(self, folder_of, name, text, said):
        assert found(folder_of, name, text) == {"foreign_package_source": said}

    @pytest.mark.parametrize("text", BUILDS.values(), ids=BUILDS)
    def test_takes_a_build_that_runs_nothing_of_the_files(self, folder_of, text):
        assert found(folder_of, "pyproject.toml", text) == {}

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("pyproject.toml", build + settings)
            for build, settings in (
                ("[build-system]\nrequires = ['setuptools', 'versioningit']\n",
                 "[tool.versioningit]\nformat = {method = 'm:run', module-dir = 'd'}\n"),
                ("[build-system]\nrequires = ['setuptools', 'setuptools_git_versioning >= 2']\n",
                 "[tool.setuptools-git-versioning]\nversion_callback = 'm:run'\n"),
                ("[build-system]\nrequires = ['poetry-core', 'Poetry.Dynamic-Versioning[x]']\n",
                 "[tool.poetry-dynamic-versioning]\nformat-jinja = '{{ 1 }}'\n"),
                ("", "[tool.hatch.version]\nsource = 'code'\npath = 'version.txt'\n"),
                ("", "[tool.hatch.version]\nsource = 'uv-dynamic-versioning'\n"),
                ("", "[tool.hatch.build]\ndependencies = ['hatch-fancy']\n"),
                ("", "[tool.hatch.build.targets.wheel.hooks.vcs]\ndependencies = ['own']\n"),
                ("", "[tool.setuptools.dynamic]\nversion = {attr = 'os.abort'}\n"),
                ("[project]\nname = 'My_Model'\n",
                 "[tool.uv.extra-build-dependencies]\nmy-model = ['versioningit']\n"),
            )
        ]
        + [
            ("hatch.toml", "[version]\nsource = 'code'\npath = 'version.txt'\n"),
            ("hatch.toml", "[build.hooks.custom]\npath = 'hook.txt'\n"),
            ("setup.cfg", "[options]\nsetup_requires = versioningit\n"),
            ("pyproject.toml", "[tool.setuptools.dynamic]\nversion = {attr = ' os.abort'}\n"),
            ("pyproject.toml", "[tool.setuptools.dynamic]\nversion = {attr = 'numpy.test'}\n"),
            ("uv.toml", "[extra-build-dependencies]\nmy-model = ['versioningit']\n"),
            ("setup.cfg", "[metadata]\nversion = attr: os.abort\n"),
            ("setup.cfg", "[metadata]\nversion = attr:numpy.test\n"),
            ("setup.cfg", "[aliases]\nbdist_wheel = easy_install\n"),
            ("setup.cfg", "[global]\ncommand_packages = m\n"),
        ],
    )  # fmt: skip
    def test_refuses_what_runs_settings_as_it_builds(self, folder_of, name, text):
        assert "unsafe_package_source" in found(folder_of, name, text)

    @pytest.mark.parametrize(
        "text",
        [
            "[project]\nname = 'm'\n[tool.uv.extra-build-dependencies]\nflash = ['torch']\n",
            "[build-system]\nrequires = ['hatchling', 'hatch_vcs>=0.4', 'Cython; a > \"1\"']\n",
        ],
    )
    def test_takes_what_other_projects_are_built_with(self, folder_of, text):
        assert found(folder_of, "pyproject.toml", text) == {}

    def test_remarks_on_a_channel_and_a_lock_of_the_authors_own(self, folder_of):
        channel = "channels: ['https://corp.example/conda']"
        lock = 'version = 1\n[[package]]\nname = "a"\n'
        lock += 'source = { registry = "https://corp.example/simple" }\n'
        lock += '[[package]]\nname = "b"\nsource = { registry = "https://pypi.org/simple" }\n'
        lock += 'sdist = { url = "https://files.pythonhosted.org/b.tar.gz" }\n'
        lock += '[[package]]\nname = "c"\nsource = { virtual = "." }\n'

        assert set(found(folder_of, "conda.yaml", channel)) == {"foreign_package_source"}
        assert found(folder_of, "uv.lock", lock) == {
            "foreign_package_source": "https://corp.example/simple"
        }

    @pytest.mark.parametrize(
        ("name", "text"),
        [("uv.lock", "= ["), ("conda.yaml", "a: ["), ("requirements.txt", "a " * 300_000),
         ("requirements.txt", "a \\")],
    )  # fmt: skip
    def test_refuses_what_it_cannot_read(self, folder_of, name, text):
        assert "unsafe_package_source" in found(folder_of, name, text)
