"""The files of the project, without what git ignores: shared by the structural checks."""
import os
import pathlib

# Top-level folders that hold results or data, never sources; as in .gitignore.
NOT_SOURCES = {".git", "build", "data", "data-demo"}


def files(root):
    """Yields the path of every file below root, relative to it, in a fixed order."""
    root = pathlib.Path(root)
    for folder, folders, names in os.walk(root):
        if pathlib.Path(folder) == root:
            folders[:] = [name for name in folders if name not in NOT_SOURCES]
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            yield (pathlib.Path(folder) / name).relative_to(root)


def is_code(path):
    """True for C and C++ sources and headers."""
    return path.suffix in {".c", ".h", ".cc", ".cpp", ".hpp"}


def report(what, violations):
    """Prints the violations; returns the exit status of a check."""
    for violation in violations:
        print(violation)
    print(f"{what}: {len(violations)} violations")
    return 1 if violations else 0
