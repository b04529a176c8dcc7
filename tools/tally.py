"""Counts the results of `meson test` in build directories: each subtest of a test that speaks TAP, one
for every other test, one for every report of a sanitizer.

    tally.py BUILD_DIR...

Names what failed; the last line is "N passed, N failed, N skipped". Exit code 0 if something passed
and nothing failed. Called by tools/test, which removes the logs of earlier runs first.
"""
import glob
import itertools
import json
import os
import re
import sys

TAP_LINE = re.compile(r'(not ok|ok)\b\s*\d*[\s-]*([^#]*)(#\s*(skip|todo)\b)?', re.IGNORECASE)
TAP_SKIPPED_PLAN = re.compile(r'1\.\.0\s*#\s*skip', re.IGNORECASE)
PASSED, FAILED, SKIPPED = range(3)
LINES = 40  # of what a failed test says
# A leak checker that looks on while other threads end can fall over them: no finding of the program's.
CHECKER_FELL = 'Tracer caught signal'
FOUND = re.compile(r'ERROR: (Address|Leak)Sanitizer|runtime error:')
MESON_RESULT = {'OK': PASSED, 'EXPECTEDFAIL': PASSED, 'SKIP': SKIPPED}


def results_of(test):
    """(result, name, details) of each subtest in one entry of meson's log."""
    lines = (test['stdout'] or '').splitlines()
    found = []
    for number, line in enumerate(lines):
        match = TAP_LINE.match(line)
        if match:
            result = SKIPPED if match.group(3) else PASSED if match.group(1).lower() == 'ok' else FAILED
            after = itertools.takewhile(lambda text: not TAP_LINE.match(text), lines[number + 1:])
            found.append((result, match.group(2).strip(), list(after)[:LINES]))
    whole = MESON_RESULT.get(test['result'], FAILED)
    said = (lines + (test.get('stderr') or '').splitlines())[-LINES:]
    if not found:
        # meson takes a TAP test without a line for skipped; it has to say so itself.
        told = test['returncode'] == 77 or any(map(TAP_SKIPPED_PLAN.match, lines))
        ran = whole != SKIPPED or told
        return [(whole if ran else FAILED, test['result'].lower() if ran else 'nothing was run', said)]
    if whole == FAILED and all(result != FAILED for result, _, _ in found):
        found.append((FAILED, f"{test['result'].lower()}, exit code {test['returncode']}", said))
    return found


def tally(build):
    """Counts of one build directory; prints its failures."""
    count = [0, 0, 0]
    logs = glob.glob(os.path.join(build, 'meson-logs', 'testlog*.json'))
    if not logs:
        print(f'FAILED {build}: no tests were run')
        count[FAILED] += 1
    for log in logs:
        with open(log, encoding='utf-8', errors='replace') as file:
            for test in map(json.loads, file):
                for result, name, details in results_of(test):
                    count[result] += 1
                    if result == FAILED:
                        print(f"FAILED {build}: {test['name']}: {name}", *details, sep='\n    ')
    for report in sorted(glob.glob(os.path.join(build, 'meson-logs', 'sanitizer.*'))):
        with open(report, encoding='utf-8', errors='replace') as file:
            text = file.read()
        if not text:
            print(f'{build}: {report}: a process that may write no file, as one that is shown a damaged file first')
            continue
        if CHECKER_FELL in text and not FOUND.search(text):
            print(f'{build}: {report}: the leak checker itself fell in this process: not checked for leaks')
            continue
        print(f'FAILED {build}: {report}\n{text[:4000]}')
        count[FAILED] += 1
    return count


def line(count):
    return f'{count[PASSED]} passed, {count[FAILED]} failed, {count[SKIPPED]} skipped'


def main(builds):
    counts = [tally(build) for build in builds]
    for build, count in zip(builds, counts):
        print(f'{build}: {line(count)}')
    total = [sum(column) for column in zip(*counts)]
    print(line(total))
    return 0 if total[PASSED] and not total[FAILED] else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
