"""The rules of the house, read from the source text. TAP on stdout.

    house.py SOURCE_ROOT

Which folder may include what is the table below; it is the README's picture of the floors. Everything
else here is a rule of that picture too: where the rank may be known, who may talk to the terminal, how
long a file may be.
"""
import os
import re
import sys

# folder of src: folders whose headers it may include, beside its own and the public ones
MAY_INCLUDE = {
    'base': '',
    'kernel': 'base',
    'store': 'base',
    'comm': 'base kernel',
    'tensor': 'base kernel',
    'grad': 'base kernel tensor',
    'ops': 'base kernel tensor grad',
    'nn': 'base tensor grad ops',
    'optim': 'base kernel tensor',
    'data': 'base store tensor',
    'train': 'base kernel store comm tensor grad nn optim data',
    'cmd': 'base',
}
MAY_INCLUDE = {folder: set(allowed.split()) for folder, allowed in MAY_INCLUDE.items()}

# header: the folders that may include it
LIBRARIES = {
    'mpi.h': {'comm'},
    'lockstep/mpi.h': {'comm', 'train'},
    'hdf5.h': {'store'},
    'H5FDdevelop.h': {'store'},
    'cblas.h': {'kernel'},
    'immintrin.h': {'base', 'kernel'},
    'cpuid.h': {'base', 'kernel'},
    'dlfcn.h': {'cmd', 'kernel'},
    'malloc.h': {'cmd'},
    'yaml.h': {'cmd'},
    'zlib.h': {'cmd'},
}
LIBC = set('''assert.h ctype.h dirent.h errno.h fcntl.h fenv.h float.h ftw.h getopt.h glob.h inttypes.h limits.h
    locale.h math.h poll.h pthread.h sched.h signal.h spawn.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h
    stdio.h stdlib.h string.h strings.h sys/file.h sys/ioctl.h sys/mman.h sys/prctl.h sys/random.h sys/resource.h
    sys/stat.h sys/statvfs.h sys/types.h sys/wait.h time.h unistd.h'''.split())

# Where the rank is known: a rank anywhere else would be a way for it to reach a result.
RANK = re.compile(r'\b(rank|ranks|rank_count|n_ranks|my_rank|world_size|ls_place)\b|'
                  r'\bctx\s*->\s*place\b|\bplace\s*\.\s*(rank|count)\b')
RANK_AT = ('src/comm/', 'src/tensor/part.c', 'src/base/base.h')

# Ending the process, and what differs between two runs.
CALLS = re.compile(r'(?<![\w.>])(exit|_exit|quick_exit|abort|rand|srand|random|drand48|time|clock|gettimeofday|'
                   r'clock_gettime|getenv|secure_getenv|setenv|system)\s*\(')
CALLS_AT = ('src/base/', 'src/cmd/', 'src/comm/ranks.c',  # how it was launched
            'src/comm/watchdog.c')  # where MPI itself hangs

# Who may talk: a library is silent. train reports on a run.
TALK = re.compile(r'(?<![\w.>])(printf|vprintf|puts|putchar|perror)\s*\(|\b(stdout|stderr)\b')
TALK_AT = ('src/base/', 'src/train/', 'src/cmd/')

# What lacked memory says what for and how much.
MEMORY = re.compile(r'\bLS_ERR_MEMORY,\s*"')
MEMORY_AT = ('src/base/failure.c', 'src/base/child.c',  # no process: that is no number of bytes
             'src/store/h5.c')  # more than

LONGEST = 650
SOURCES = ('src', 'include', 'tests', 'examples', 'tools')

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blank(match):
    """Spaces in place of a comment or string, so that lines and columns stay."""
    return re.sub(r'[^\n]', ' ', match.group())


def c_files(root):
    """(path from root, text) of every C file."""
    for top in SOURCES:
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if name.endswith(('.c', '.h')):
                    path = os.path.join(folder, name)
                    with open(path, encoding='utf-8') as file:
                        yield os.path.relpath(path, root), file.read()


def at(path, text, position):
    return f'{path}:{text.count(chr(10), 0, position) + 1}'


def in_src(path):
    """The folder of src that a path lies in, or None."""
    parts = path.split('/')
    return parts[1] if parts[0] == 'src' and len(parts) > 2 else None


def includes(files):
    for path, text in files:
        folder = in_src(path)
        if folder and folder not in MAY_INCLUDE:
            yield f'{path}: the folder {folder} has no row in the table of includes'
        elif folder or path.startswith('include/'):
            for match in INCLUDE.finditer(text):
                why = refuses(folder, match.group(1), match.group(2), path)
                if why:
                    yield f'{at(path, text, match.start())}: {match.group(2)}: {why}'


def refuses(folder, quote, header, path):
    """Why a file of a folder may not include a header, or None. folder None: a public header."""
    if header in LIBRARIES:
        allowed = LIBRARIES[header]
        if folder in allowed or path == 'include/lockstep/mpi.h':
            return None
        return f'only {" and ".join(sorted(allowed))} may include it'
    if header in LIBC:
        return None
    if quote == '<':
        return 'no rule knows this header: name it in tests/rules/house.py with the folder that may include it'
    if folder is None:
        return 'public headers include public headers' if '/' in header else None
    if '/' not in header:
        return None  # beside the file: its own folder
    of = header.split('/')[0]
    if of in (folder, 'lockstep') or of in MAY_INCLUDE[folder]:
        return None
    return f'{folder} may include {", ".join(sorted(MAY_INCLUDE[folder])) or "nothing"} beside its own header'


def matches(files, pattern, where, why):
    for path, text in files:
        if in_src(path) and not path.startswith(where):
            code = NOT_CODE.sub(blank, text)
            for match in pattern.finditer(code):
                yield f'{at(path, text, match.start())}: {match.group().strip()}: {why}'


def ranks(files):
    return matches(files, RANK, RANK_AT, 'the rank is known in src/comm and src/tensor/part.c alone')


def calls(files):
    return matches(files, CALLS, CALLS_AT, 'only base and cmd call this')


def talk(files):
    return matches(files, TALK, TALK_AT, 'only base, train and cmd write to the terminal')


def memory(files):
    for path, text in files:
        if in_src(path) and path not in MEMORY_AT:
            for match in MEMORY.finditer(text):
                yield f'{at(path, text, match.start())}: ls_failure_memory() says how much is needed'


def lengths(files):
    for path, text in files:
        count = text.count('\n')
        if count > LONGEST:
            yield f'{path}: {count} lines; more than {LONGEST} are not seen at a glance'


def opening_comments(files):
    for path, text in files:
        if path.endswith('.c') and not text.startswith('/*'):
            yield f'{path}: begins without the comment that says what it is for'


CHECKS = [
    ('every include goes down the floors', includes),
    ('the rank is known only where it enters', ranks),
    ('only base and cmd ask clock and environment, or end the process', calls),
    ('only base, train and cmd write to the terminal', talk),
    ('every message on memory says how much is needed', memory),
    ('no file is too long', lengths),
    ('every .c file says what it is for', opening_comments),
]

# What each check must refuse, and something near it that it must not.
SAMPLES = [
    (includes, 'src/kernel/a.c', '#include "tensor/tensor.h"', '#include "base/base.h"'),
    (includes, 'src/train/a.c', '#include "ops/ops.h"', '#include "grad/grad.h"'),
    (includes, 'src/tensor/a.c', '#include <mpi.h>', '#include <math.h>'),
    (includes, 'src/data/a.c', '#include <hdf5.h>', '#include <pthread.h>'),
    (includes, 'src/ops/a.c', '#  include <cblas.h>', '#include "lockstep/op.h"'),
    (includes, 'src/nn/a.c', '#include <numa.h>', '#include <string.h>'),
    (includes, 'include/lockstep/a.h', '#include "base/base.h"', '#include "tensor.h"'),
    (includes, 'src/attic/a.c', '', None),
    (ranks, 'src/train/a.c', 'if (rank == 0)', '/* on every rank */ f("rank %d"); int rank_of_row;'),
    (ranks, 'src/data/a.c', 'int n = ctx->place.count;', 'int place = o->place.folder;'),
    (calls, 'src/ops/a.c', 'exit(1);', 'x->time(3); ls_clock_s();'),
    (calls, 'src/train/a.c', 'double t = time(NULL);', 'double elapsed_time(void); // time(NULL)'),
    (talk, 'src/nn/a.c', 'printf("%d", 1);', 'ls_printf(ctx, "%d", 1); snprintf(b, 4, "printf(");'),
    (talk, 'src/store/a.c', 'fputs(text, stdout);', 'fputs(text, out);'),
    (memory, 'src/nn/a.c', 'ls_fail(ctx, LS_ERR_MEMORY,\n "no memory");', 'ls_fail_memory(ctx, 8, "it");'),
    (lengths, 'src/nn/a.c', '\n' * 651, '\n' * 650),
    (opening_comments, 'src/nn/a.c', '#include <math.h>', '/* a.c -- what it is */'),
]


def samples():
    for check, path, bad, good in SAMPLES:
        if not list(check([(path, bad)])):
            yield f'{check.__name__} does not see {bad[:40]!r} in {path}'
        if good is not None and list(check([(path, good)])):
            yield f'{check.__name__} refuses {good[:40]!r} in {path}'


def main(root):
    files = list(c_files(root))
    if not files:
        print('Bail out! no C files under ' + root)
        return 1
    checks = [('the checks see what they must', lambda _: samples())] + CHECKS
    print(f'1..{len(checks)}')
    failed = 0
    for number, (name, check) in enumerate(checks, 1):
        found = list(check(files))
        failed += bool(found)
        print(f'{"not ok" if found else "ok"} {number} - {name}')
        for line in found:
            print('# ' + line)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
