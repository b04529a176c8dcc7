#!/usr/bin/env python3
"""docs/capabilities.md names what exists: each of 1 to 65 once, with a test or an example that is there
and functions that a public header declares. Prints TAP."""
import re
import sys
from pathlib import Path

root = Path(sys.argv[1])
tests = set()
for path in (root / 'tests').rglob('*.c'):
    found = re.findall(r'^(?:Parameterized)?Test\((?:[^,()]*\*\s*\w+, )?(\w+),\s*(\w+)', path.read_text(), re.M)
    tests |= {'::'.join(name) for name in found}
examples = {path.stem for path in (root / 'examples').glob('*.c')}
stored = {path.stem for path in (root / 'tests/examples/expected').glob('*.txt')}
headers = ' '.join(path.read_text() for path in (root / 'include/lockstep').glob('*.h'))
rows = [[cell.strip() for cell in line.strip('|\n').split('|')]
        for line in (root / 'docs/capabilities.md').read_text().splitlines() if line.startswith('|')]
rows = [row for row in rows if not row[-1].startswith(('-', 'shown'))]

numbers = [int(row[0]) for row in rows if row[0].isdigit()]
missing, undeclared = [], []
for row in rows:
    shown = re.findall(r'`([^`]*)`', row[-1])
    missing += [f'{row[0]} is shown by nothing'] if not shown else []
    missing += [f'{row[0]}: there is no {name}' for name in shown
                if name not in tests and not (name in examples and name in stored)]
    undeclared += [f'{row[0]}: {name} is not declared' for name in re.findall(r'`(\w+)`', row[-2])
                   if not re.search(rf'\b{name}\b', headers)]


def report(number, name, complaints):
    print(f"{'not ' if complaints else ''}ok {number} - {name}")
    for complaint in complaints:
        print('#', complaint)


print('1..3')
report(1, 'capabilities 1 to 65', [] if numbers == list(range(1, 66)) else [f'the rows are {numbers}'])
report(2, 'tests and examples are there', missing)
report(3, 'names are declared', undeclared)
sys.exit(0)
