"""Two networks in one tree, as a firmware has them: built by what it builds with, in memory of the caller, in threads."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from c_exports import Compiler, make_case

from reds_jax.deploy import folder as exported_folder
from reds_jax.deploy.board import image
from reds_jax.deploy.board.boards import BOARDS
from reds_jax.deploy.board.host import WARNINGS
from reds_jax.deploy.c import package
from reds_jax.errors import InvalidArgumentError

NETWORKS = {"ears": ("int8", "ds_cnn"), "eyes": ("float32", "cnn")}
FILES = Path(__file__).parent / "firmware"
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
needs_arm = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc") or not shutil.which("qemu-system-arm"),
                               reason="arm-none-eabi-gcc and qemu-system-arm are not installed")


@pytest.fixture(scope="module")
def tree(library, tmp_path_factory) -> Path:
    """An int8 network and a float network in one folder."""
    folder = tmp_path_factory.mktemp("tree") / "networks"
    for name, (dtype, of) in NETWORKS.items():
        make_case(library(of), dtype, folder, name)
    return folder


def sources(tree: Path) -> list[str]:
    return sorted({str(path) for name in NETWORKS for path in exported_folder.sources(tree, name)})


def run(program: Path, *arguments: str) -> str:
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cmake(source: Path, build: Path, *options: str) -> None:
    Compiler.run("cmake", "-S", str(source), "-B", str(build), *options)
    Compiler.run("cmake", "--build", str(build))


PLAIN, SANITIZE = ["-O1"], ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
builds = pytest.mark.parametrize("flags", [PLAIN, pytest.param(SANITIZE, marks=pytest.mark.slow)], ids=["plain", "sanitizers"])


def build(compiler: Compiler, tree: Path, program: Path, main: str, *flags: str) -> Path:
    """A program of ``firmware/`` with both networks; without sanitizers with kernels that are compiled before."""
    kernels = [] if any("sanitize" in flag for flag in flags) else compiler._objects("gcc")
    networks = [path for path in sources(tree) if path.endswith("_model.c") or not kernels]
    Compiler.run("gcc", *WARNINGS, *exported_folder.include_flags(tree), *flags, "-o", str(program), str(FILES / main),
                 *networks, *kernels)
    return program


@builds
def test_two_networks_share_one_arena_of_the_caller(compiler, tree, tmp_path, flags) -> None:
    """The answers are the recorded ones, in turn, with an arena that is as large as the larger one; none is in the library."""
    assert run(build(compiler, tree, tmp_path / "firmware", "firmware.c", "-DREDS_CALLER_ARENA", *flags)) == "as recorded\n"
    Compiler.run("gcc", "-std=c99", "-fno-pie", "-c", "-DREDS_CALLER_ARENA", str(tree / "src/ears_model.c"), "-o",
                 str(tmp_path / "m.o"))
    listed = Compiler.run("nm", str(tmp_path / "m.o")).stdout.split("\n")
    assert not [line for line in listed if re.search(r" [bBdDcC] |ears_(adapt|invoke|active)$", line)]


@pytest.mark.parametrize("flag", ["-O1", "-fsanitize=thread"])
def test_networks_run_in_threads_at_the_same_time(compiler, tree, tmp_path, flag: str) -> None:
    """Two instances of one network, each adapted on its own, and the simple one beside them; only constants are shared."""
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    for command in (["gcc", flag, str(probe), "-o", str(tmp_path / "probe")], [str(tmp_path / "probe")]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("the thread sanitizer of gcc is not installed (Debian: libtsan2), or not for this kernel")
    program = build(compiler, tree, tmp_path / "threads", "threads.c", "-D_POSIX_C_SOURCE=200809L", "-g", "-pthread", flag)
    assert run(program) == "as recorded\n"


@builds
@pytest.mark.parametrize("debug", [["-DREDS_DEBUG"], []], ids=["debug", "release"])
def test_memory_that_does_not_do_and_null_pointers(compiler, tree, tmp_path, flags, debug) -> None:
    assert run(build(compiler, tree, tmp_path / "errors", "errors.c", *flags, *debug)) == "as stated\n"


def test_without_debugging_nothing_is_paid_for_it(compiler, tree, tmp_path) -> None:
    """The code of an inference does not compare its pointers."""
    sizes = []
    for flags in ([], ["-DREDS_DEBUG"]):
        Compiler.run("gcc", "-Os", *flags, "-c", str(tree / "src/ears_model.c"), "-o", str(tmp_path / "m.o"))
        listed = Compiler.run("nm", "-S", str(tmp_path / "m.o")).stdout
        sizes.append(int(re.search(r"\w+ (\w+) T ears_net_invoke", listed).group(1), 16))
    assert sizes[0] < sizes[1]


def sections(target: Path) -> dict[str, tuple[int, int]]:
    """(bytes, alignment) of the sections of an object file."""
    rows = re.findall(r"^ +\d+ (\S+) +(\w+) .* 2\*\*(\d+)", Compiler.run("objdump", "-h", str(target)).stdout, re.MULTILINE)
    return {name: (int(size, 16), 2 ** int(power)) for name, size, power in rows if int(size, 16)}


@pytest.mark.parametrize(("name", "cc"), [("ears", "gcc"), ("eyes", "clang")])
def test_arena_weights_and_tables_lie_where_the_build_says(tree, tmp_path, name: str, cc: str) -> None:
    if not shutil.which(cc):
        pytest.skip(f"{cc} is not installed")
    facts = exported_folder.facts(tree, name)
    (tmp_path / "config.h").write_text(
        '#define REDS_ARENA_ATTRIBUTE __attribute__((section(".dtcm"), aligned(64)))\n'
        '#define REDS_TABLES_ATTRIBUTE __attribute__((section(".tables")))\n'
        f'#define {name.upper()}_WEIGHTS_ATTRIBUTE __attribute__((section(".external"), aligned(32)))\n'
        f'#define {"EYES" if name == "ears" else "EARS"}_WEIGHTS_ATTRIBUTE __attribute__((section(".wrong")))\n')
    target = tmp_path / "model.o"
    Compiler.run(cc, *WARNINGS, "-O2", "-fno-pic", f"-I{tmp_path}", '-DREDS_CONFIG="config.h"', "-c",
                 str(tree / f"src/{name}_model.c"), "-o", str(target))
    found = sections(target)
    assert found[".dtcm"] == (facts["subnetworks"][-1]["arena_bytes"], 64)
    size, alignment = found[".external"]
    assert facts["weight_bytes"] <= size < facts["weight_bytes"] + 32 * 20
    assert alignment == 32
    assert found[".tables"][0] > facts["table_bytes"]
    assert ".bss" not in found
    assert all(n <= 64 for section, (n, _) in found.items() if section.startswith(".rodata")), found  # no constant is there
    assert ".wrong" not in found


def test_every_constant_of_a_model_has_a_place(tree) -> None:
    for name in NETWORKS:
        text = (tree / f"src/{name}_model.c").read_text()
        constants = re.findall(r"^(.*)static const", text, re.MULTILINE)
        assert len(constants) > 5
        assert set(constants) <= {f"{name.upper()}_{what}_ATTRIBUTE " for what in ("WEIGHTS", "TABLES")}


@needs_cmake
def test_cmake_builds_the_checks_and_a_firmware_in_c_and_in_cpp(compiler, tree, tmp_path) -> None:
    cmake(tree, tmp_path / "alone", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror")
    for name in NETWORKS:
        assert "all answers agree" in run(tmp_path / "alone" / f"{name}_check")
    project = tmp_path / "project"
    project.mkdir()
    (project / "main.cpp").write_text((FILES / "firmware.c").read_text())
    (project / "CMakeLists.txt").write_text(f"""cmake_minimum_required(VERSION 3.13)
project(firmware C CXX)
add_subdirectory({tree} reds)
target_compile_definitions(reds PUBLIC REDS_CALLER_ARENA)
foreach(language c cpp)
    add_executable(firmware_${{language}} main.${{language}})
    target_include_directories(firmware_${{language}} PRIVATE {tree}/examples)
    target_link_libraries(firmware_${{language}} PRIVATE reds)
endforeach()
""")
    shutil.copy(FILES / "firmware.c", project / "main.c")
    cmake(project, tmp_path / "build")
    for language in ("c", "cpp"):
        assert run(tmp_path / "build" / f"firmware_{language}") == "as recorded\n"
    assert not (tree / "build").exists()


@needs_arm
@needs_cmake
@pytest.mark.parametrize("board", ["m4", pytest.param("m0", marks=pytest.mark.slow)])
def test_cmake_builds_a_firmware_for_a_board(tree, tmp_path, board: str) -> None:
    """With a toolchain file: both networks in one image, sharing one arena; it answers in QEMU as recorded."""
    target = BOARDS[board]
    startup = image.write_startup(tmp_path, target)
    (tmp_path / "main.c").write_text("#define ON_A_BOARD\n" + (FILES / "firmware.c").read_text())
    (tmp_path / "board.cmake").write_text(f"""set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "{' '.join(f for f in image.compile_flags(target) if f != '-std=c99')}")
""")
    (tmp_path / "CMakeLists.txt").write_text(f"""cmake_minimum_required(VERSION 3.13)
project(firmware C)
add_subdirectory({tree} reds)
target_compile_definitions(reds PUBLIC REDS_CALLER_ARENA EARS_LARGEST=0 EYES_LARGEST=0)
add_executable(firmware main.c {' '.join(map(str, startup))})
target_include_directories(firmware PRIVATE {tree}/examples)
target_link_libraries(firmware PRIVATE reds {' '.join(flag.removeprefix('-l') for flag in target.libraries)})
target_link_options(firmware PRIVATE {' '.join(image.link_flags(tmp_path))})
""")
    cmake(tmp_path, tmp_path / "build", f"-DCMAKE_TOOLCHAIN_FILE={tmp_path / 'board.cmake'}")
    assert "as recorded" in image.emulate(tmp_path / "build" / "firmware", target, timeout=60)


STUBS = {
    "zephyr": """function(zephyr_include_directories)
    include_directories(${ARGV})
endfunction()
function(zephyr_library_named name)
    add_library(${name} STATIC)
    set(ZEPHYR_CURRENT_LIBRARY ${name} PARENT_SCOPE)
endfunction()
function(zephyr_library_sources)
    target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})
endfunction()
set(CONFIG_REDS y)
add_subdirectory(TREE/zephyr reds)
""",
    "idf": """function(idf_component_register)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "SRCS;INCLUDE_DIRS")
    list(TRANSFORM arg_SRCS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    list(TRANSFORM arg_INCLUDE_DIRS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    add_library(reds STATIC ${arg_SRCS})
    target_include_directories(reds PUBLIC ${arg_INCLUDE_DIRS})
endfunction()
set(ESP_PLATFORM 1)
add_subdirectory(TREE reds)
""",
}


@needs_cmake
@pytest.mark.parametrize("system", STUBS)
def test_what_zephyr_and_esp_idf_read_names_every_source(compiler, tree, tmp_path, system: str) -> None:
    """With functions in place of theirs that make a library of what they are told."""
    (tmp_path / "CMakeLists.txt").write_text(f"""cmake_minimum_required(VERSION 3.13)
project(stub C)
{STUBS[system].replace("TREE", str(tree))}
add_executable(ears_check {tree}/examples/ears_check.c)
target_include_directories(ears_check PRIVATE {tree}/include)
target_link_libraries(ears_check PRIVATE reds)
""")
    cmake(tmp_path, tmp_path / "build")
    assert "all answers agree" in run(tmp_path / "build" / "ears_check")
    read = (tree / ("zephyr/CMakeLists.txt" if system == "zephyr" else "CMakeLists.txt")).read_text()
    named = set(re.findall(r"src/\w+\.c", read))
    assert named == {f"src/{path.name}" for path in (tree / "src").glob("*.c")}


def test_the_fields_that_package_managers_ask_for(tree) -> None:
    """Zephyr's schema of module.yml, the library specifications of Arduino and PlatformIO, the manifest of ESP-IDF."""
    module = yaml.safe_load((tree / "zephyr/module.yml").read_text())
    assert set(module) == {"name", "build"}
    assert (tree / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (tree / module["build"]["kconfig"]).read_text().startswith("config REDS\n\tbool ")
    idf = yaml.safe_load((tree / "idf_component.yml").read_text())
    assert set(idf) <= {"version", "description", "url", "dependencies"}
    properties = dict(line.split("=", 1) for line in (tree / "library.properties").read_text().splitlines())
    assert list(properties) == ["name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
                                "architectures", "includes"]
    assert all(properties.values())
    assert properties["category"] == "Data Processing"
    library = json.loads((tree / "library.json").read_text())
    assert set(library) == {"name", "version", "description", "headers", "frameworks", "platforms", "build"}
    for value in (idf["version"], properties["version"], library["version"]):
        assert re.fullmatch(r"\d+\.\d+\.\d+", value)
    assert all((tree / "include" / header).is_file() for header in library["headers"])
    assert all((tree / "src" / header).is_file() for header in properties["includes"].split(","))
    assert set(NETWORKS) == set(re.findall(r"^## `(\w+)`", (tree / "README.md").read_text(), re.MULTILINE))


def test_arduino_finds_a_header_with_src_alone_on_the_path(compiler, tree, tmp_path) -> None:
    """As its builder calls a C++ compiler; and the sources compile without any path."""
    (tmp_path / "sketch.cpp").write_text("#include <ears_arduino.h>\n#include <eyes_arduino.h>\n"
                                         "int main() { return (int)(ears_adapt(0) + eyes_adapt(0)); }\n")
    objects = []
    for source in map(Path, sources(tree)):
        objects.append(str(tmp_path / f"{source.stem}.o"))
        Compiler.run("gcc", "-std=gnu11", "-c", str(source), "-o", objects[-1])
    Compiler.run("g++", f"-I{tree / 'src'}", str(tmp_path / "sketch.cpp"), *objects, "-o", str(tmp_path / "sketch"))
    run(tmp_path / "sketch")


def test_every_header_is_found_beside_the_file_that_includes_it() -> None:
    """Of the whole runtime, whatever an export needs of it."""
    runtime = Path(package.__file__).parent / "runtime"
    tree = package.placed(package.kernels(path.name for path in runtime.glob("*.[ch]")), "ears")
    assert {path.name for path in runtime.glob("*.[ch]")} == {Path(path).name for path in tree}
    for path, text in tree.items():
        for included in re.findall(r'#include "(.+)"', text):
            assert os.path.normpath(Path(path).parent / included) in tree, (path, included)


def test_kernels_of_another_version_are_refused_by_the_compiler_and_by_the_next_export(library, tmp_path, monkeypatch) -> None:
    case = library("dnn_s")
    folder = make_case(case, "int8", tmp_path / "tree", "ears").folder
    make_case(case, "int8", folder, "eyes")
    header = folder / "src/reds_kernels.h"
    text = header.read_text()
    assert f"#define REDS_KERNELS_VERSION {package.kernels_version()}\n" in text
    header.write_text(text.replace(package.kernels_version(), "0x1234u"))
    command = ["gcc", "-fsyntax-only", str(folder / "src/ears_model.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "ears_model.c belongs to other kernels than these" in done.stderr
    header.write_text(text)
    Compiler.run(*command)
    monkeypatch.setattr(package, "kernels_version", lambda: "0x1234u")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name, others in (("nose", "'ears', 'eyes'"), ("ears", "'eyes'")):
        with pytest.raises(InvalidArgumentError, match=f"exported with other kernels .* got .{others}.*into a new folder"):
            make_case(case, "int8", folder, name)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    alone = make_case(case, "int8", tmp_path / "alone", "ears").folder
    assert "0x1234u" in (alone / "src/ears_model.c").read_text()
    monkeypatch.undo()
    make_case(case, "float32", alone, "ears")  # what is alone in its folder is replaced with its kernels
    assert package.kernels_version() in (alone / "src/reds_kernels.h").read_text()
    assert not (alone / "src/reds_s8.c").exists()


def test_a_change_of_any_kernel_is_another_version(monkeypatch, tmp_path) -> None:
    runtime = Path(package.__file__).parent / "runtime"
    copy = shutil.copytree(runtime, tmp_path / "runtime")
    monkeypatch.setattr(package.resources, "files", lambda _: tmp_path)
    versions = {package.kernels_version.__wrapped__()}
    assert versions == {package.kernels_version()}
    for file in sorted(copy.iterdir()):
        file.write_text(file.read_text() + "\n")
        versions.add(package.kernels_version.__wrapped__())
    assert len(versions) == 1 + len(list(copy.iterdir()))
