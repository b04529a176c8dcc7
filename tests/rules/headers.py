"""The public headers keep their word. TAP on stdout.

    headers.py SOURCE_ROOT LIBRARY COMPILER...

Each header compiles alone as C11 and as C++17 without a warning, and the shared library exports the
functions that they declare: all of them, and nothing else.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only']
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.DOTALL)
FUNCTION = re.compile(r'\bLS_(?:API|COLLECTIVE)\b[^;{=]*?\b(ls_\w+)\s*\(')


def output_of(*command):
    """What a command prints, or None where it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def mpi_flags():
    """How to find mpi.h, as system headers; None where nobody knows."""
    for command in (['pkg-config', '--cflags', 'ompi-c'], ['pkg-config', '--cflags', 'mpich'],
                    ['mpicc', '--showme:compile']):
        flags = output_of(*command)
        if flags is not None:
            return [flag.replace('-I', '-isystem', 1) for flag in flags.split()]
    return None


def compiles(root, header, compiler, language, standard):
    """What is wrong with a header that is included first and alone: lines, none if all is well."""
    flags = []
    if header == 'mpi.h':
        flags = mpi_flags()
        if flags is None:
            return None
    command = compiler + [f'-std={standard}', *WARNINGS, '-I', os.path.join(root, 'include'), *flags, '-x', language, '-']
    run = subprocess.run(command, input=f'#include "lockstep/{header}"\n', capture_output=True, text=True)
    return (run.stderr.splitlines() or ['the compiler failed']) if run.returncode else []


def declared(headers):
    names = set()
    for path in headers:
        with open(path, encoding='utf-8') as file:
            text = re.sub(r'^[ \t]*#.*(?:\\\n.*)*', '', COMMENT.sub(' ', file.read()), flags=re.MULTILINE)
        names.update(FUNCTION.findall(text))
    return names


def exports(headers, library):
    if not shutil.which('nm'):
        return None
    symbols = output_of('nm', '-D', '--defined-only', library)
    if symbols is None:
        return [f'nm cannot read {library}']
    there = {line.split()[-1] for line in symbols.splitlines() if line.split()[-1].startswith('ls_')}
    wanted = declared(headers)
    if not wanted:
        return ['no declarations found']
    return ([f'{name}: declared, and defined nowhere' for name in sorted(wanted - there)] +
            [f'{name}: exported, and in no public header' for name in sorted(there - wanted)])


def main(root, library, *compiler):
    headers = sorted(glob.glob(os.path.join(root, 'include', 'lockstep', '*.h')))
    cxx = shutil.which('g++') or shutil.which('clang++')
    results = []  # (what, lines of what is wrong or None, why it was skipped)
    for path in headers:
        name = os.path.basename(path)
        results.append((f'{name} alone as C11', compiles(root, name, list(compiler), 'c', 'c11'), 'no mpi.h'))
        results.append((f'{name} alone as C++17', compiles(root, name, [cxx], 'c++', 'c++17') if cxx else None,
                        'no mpi.h' if cxx else 'no C++ compiler'))
    results.append(('the library exports what the headers declare', exports(headers, library), 'no nm'))

    print(f'1..{len(results)}')
    for number, (what, wrong, skipped) in enumerate(results, 1):
        print(f'{"not ok" if wrong else "ok"} {number} - {what}{"" if wrong is not None else " # SKIP " + skipped}')
        for line in wrong or []:
            print('# ' + line)
    return 1 if any(wrong for _, wrong, _ in results) else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
