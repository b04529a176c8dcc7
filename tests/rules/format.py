"""Every .c file is as clang-format 14 writes it (other versions differ). TAP on stdout.

    format.py SOURCE_ROOT

Headers are tables, aligned by hand. To mend a file: clang-format-14 -i FILE
"""
import os
import shutil
import subprocess
import sys

from house import c_files


def formatter():
    for name in ('clang-format-14', 'clang-format'):
        path = shutil.which(name)
        if path and ' 14.' in subprocess.run([path, '--version'], capture_output=True, text=True).stdout:
            return path
    return None


def main(root):
    tool = formatter()
    if not tool:
        print('1..0 # SKIP there is no clang-format 14 here')
        return 0
    os.chdir(root)
    wrong = []
    for path, text in c_files('.'):
        if path.endswith('.c'):
            formatted = subprocess.run([tool, path], capture_output=True, text=True, check=True).stdout
            if formatted != text:
                pairs = zip(text.splitlines(), formatted.splitlines())
                line = next((n for n, (a, b) in enumerate(pairs, 1) if a != b), 1)
                wrong.append(f'{path}:{line}: clang-format-14 -i {path}')
    print('1..1')
    print(f'{"not ok" if wrong else "ok"} 1 - files are formatted')
    for line in wrong:
        print('# ' + line)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
