"""Counts the results of `meson test` in build directories: each subtest of a test that speaks TAP, one
for every other test, one for every report of a sanitizer.

    tally.py BUILD_DIR...

Names what failed; the last line is "N passed, N failed, N skipped". Exit code 0 if something passed
and nothing failed. Called by tools/test, which removes the logs of earlier runs first.
"""
import glob
import json
import os
import re
import sys

TAP_LINE = re.compile(r'(not ok|ok)\b\s*\d*[\s-]*([^#]*)(#\s*(skip|todo)\b)?', re.IGNORECASE)
TAP_SKIPPED_PLAN = re.compile(r'1\.\.0\s*#\s*skip', re.IGNORECASE)
PASSED, FAILED, SKIPPED = range(3)
MESON_RESULT = {'OK': PASSED, 'EXPECTEDFAIL': PASSED, 'SKIP': SKIPPED}


def results_of(test):
    """(result, name of a subtest) of one entry of meson's log."""
    lines = (test['stdout'] or '').splitlines()
    found = []
    for line in filter(None, map(TAP_LINE.match, lines)):
        verdict, name, directive = line.group(1), line.group(2).strip(), line.group(3)
        result = SKIPPED if directive else PASSED if verdict.lower() == 'ok' else FAILED
        found.append((result, name))
    whole = MESON_RESULT.get(test['result'], FAILED)
    if not found:
        # meson takes a TAP test without a line for skipped; it has to say so itself.
        said_so = test['returncode'] == 77 or any(map(TAP_SKIPPED_PLAN.match, lines))
        return [(FAILED if whole == SKIPPED and not said_so else whole, 'nothing was run')]
    if whole == FAILED and all(result != FAILED for result, _ in found):
        found.append((FAILED, f"{test['result'].lower()}, exit code {test['returncode']}"))
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
                for result, name in results_of(test):
                    count[result] += 1
                    if result == FAILED:
                        print(f"FAILED {build}: {test['name']}: {name}")
    for report in sorted(glob.glob(os.path.join(build, 'meson-logs', 'sanitizer.*'))):
        with open(report, encoding='utf-8', errors='replace') as file:
            text = file.read()
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
