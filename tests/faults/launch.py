"""lockstep launch with something else in place of mpirun: when it starts again, when it gives up, and what
it does with what an earlier launcher left. TAP on stdout.

    launch.py LOCKSTEP
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LOCKSTEP = os.path.abspath(sys.argv[1])
CONFIG = '''data: {train: d.h5, batch_size: 2}
model: [{linear: 1}]
loss: mse
optimizer: {sgd: {lr: 0.1}}
train: {epochs: 2}
'''
# What stands for mpirun notes its start, and may say how far the job is.
HEAD = '''#!/bin/sh
echo "$(date +%s.%N) $*" >> starts
times=$(wc -l < starts)
at_step() { mkdir -p runs/a; printf 'process %s on here\\nstep %12d\\n' $$ "$1" > runs/a/.lockstep.lock; }
'''
STOPS = '''#!/usr/bin/env python3
import signal, sys, time
def stop(number, frame):
    sys.exit(sys.stderr.write('lockstep: stopped after step 5, checkpoint saved: run again to go on\\n') and 75)
signal.signal(signal.SIGUSR1, stop)
open('ready', 'w').close()
time.sleep(50)
'''
results = []


def begin(script, *words, train=(), program=LOCKSTEP, before=None):
    name = './mpirun%d' % len(os.listdir('.'))
    with open(name, 'w') as out:
        out.write(script if script.startswith('#!') else HEAD + script)
    os.chmod(name, 0o755)
    return subprocess.Popen([program, 'launch', '-n', '4', '--mpirun', name, *words, '--', 'train', 'a.yaml', *train],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=before)


def run(script, *words, **how):
    job = begin(script, *words, **how)
    _, text = job.communicate(timeout=60)
    return job.returncode, text


def starts():
    try:
        with open('starts') as file:
            return [line.split() for line in file]
    except OSError:
        return []


def wait_for(what, limit=30):
    until = time.monotonic() + limit
    while not what() and time.monotonic() < until:
        time.sleep(0.01)
    assert what(), 'it does not come'


def the_time_is_that_of_all_jobs():
    def budgets():
        assert all(s[-1].startswith('--stop-before=') for s in starts()), starts()
        return [float(s[-1].split('=')[1]) for s in starts()]

    code, text = run('[ $times = 3 ] && exit 65\nsleep 1; at_step $times; exit 70\n', train=('--stop-before', '20s'))
    assert code == 65, (code, text)
    first, second, third = budgets()
    assert 19 < first <= 20 and 0.9 < first - second < 5 and 1.4 < second - third < 5, budgets()
    os.remove('starts')
    began = time.monotonic()
    code, text = run('sleep 2; at_step $times; exit 70\n', train=('--stop-before=4',))
    assert code == 75 and 'run again' in text and len(starts()) == 2, (code, text)
    began = time.monotonic()
    code, text = run('sleep 1; at_step $((3 + times)); exit 70\n', '--max-restarts', '9', train=('--stop-before=5.6',))
    assert code == 75 and time.monotonic() - began < 7.4, (code, text)  # nor does it wait for the rest of a pause


def bad_input_is_not_tried_again():
    for code in (64, 65, 66, 73, 78, 79):
        got, text = run(f'exit {code}\n')
        assert got == code and 'not started again' in text, (got, text)
    assert len(starts()) == 6, starts()


def the_step_of_the_job_that_keeps_it_out_is_not_its_own():
    code, text = run('at_step 7; exit 73\n')
    assert code == 73 and 'step 7' not in text, (code, text)


def the_same_failure_twice_is_final():
    code, text = run('at_step 7; exit 70\n')
    assert code == 70 and 'after step 7, as the time before' in text, (code, text)
    assert len(starts()) == 2, starts()


def a_dead_jobs_step_is_not_that_of_the_next():
    code, text = run('[ $times = 1 ] && at_step 7; [ $times -le 2 ] && exit 70; exit 65\n')
    assert code == 65 and 'time before' not in text and text.count('after step 7') == 1, (code, text)
    assert len(starts()) == 3, starts()


def another_failure_is_not_the_same():
    code, text = run('at_step 7; exit $((69 + times))\n', '--max-restarts', '2')
    assert 'given up after 2 restarts' in text and len(starts()) == 3, (code, text)


def pauses_grow():
    code, text = run('at_step $times; exit 70\n', '--max-restarts', '3')
    assert code == 70 and 'given up after 3 restarts without a new checkpoint' in text, (code, text)
    assert re.findall(r'restart (\d/\d) from the beginning', text) == ['1/3', '2/3', '3/3'], text
    at = [float(s[0]) for s in starts()]
    assert len(at) == 4 and at[2] - at[1] > 0.5 and at[3] - at[2] > 1, at


def fewer_ranks_where_so_many_cannot_be_had():
    _, text = run('exit 1\n', '--min-ranks', '2', '--max-restarts', '3')
    assert [s[2] for s in starts()] == ['4', '3', '2', '2'], starts()
    assert 'on 2 ranks' in text, text


def a_finished_run_is_done_whatever_mpirun_says():
    code, text = run(f'shift 2; "$@" --quiet; exit 1\n')
    assert code == 0 and len(starts()) == 1, (code, text)


def a_refusal_counts_where_a_finished_run_lies():
    code, text = run('shift 2; exec "$@" --quiet\n')
    assert code == 0 and text == '', (code, text)
    code, text = run('shift 2; exec "$@" --quiet --seed=9\n')
    assert code == 78 and 'made with another configuration' in text and 'exit code 78' in text, (code, text)
    for number, want in (64, 64), (74, 74), (70, 0), (1, 0):
        code, text = run(f'exit {number}\n')
        assert code == want, (number, code, text)
    code, text = run('kill -9 $$\n')
    assert code == 0 and len(starts()) == 7, (code, text)


def a_job_without_steps_is_ended():
    code, text = run('at_step 5; exec sleep 50\n', '--hang-timeout', '1s', '--max-restarts', '0')
    assert code == 71 and re.search(r'no step in \d(\.\d+)? s( after step 5)?; given up', text), (code, text)


def a_job_that_hung_is_started_again_however_it_ends():
    """Told to end, ranks that had stopped may go on, save and say so, or die of it."""
    died = ('d=$(printf "%070d" 0 | tr 0 -); (echo $d; echo "mpirun noticed that process rank 1 with PID 0 on node a '
            'exited on signal 15 (Terminated)."; echo $d) >&2; exit 143')
    for end in ('at_step 9; echo "lockstep: stopped after step 9, checkpoint saved: run again to go on" >&2; exit 75', died):
        if os.path.exists('starts'):
            os.remove('starts')
        code, text = run('[ $times = 2 ] && exit 65\nat_step 5\nend() { %s; }\ntrap end TERM\nsleep 50 & wait\n' % end,
                         '--hang-timeout', '1s')
        assert code == 65 and len(starts()) == 2, (code, text)
        assert re.search(r'no step in \d(\.\d+)? s after step 5; restart 1/5', text), text


def an_mpirun_that_outlives_its_far_ranks_is_ended():
    began = time.monotonic()
    code, text = run('at_step 5; echo "lockstep: rank 1 of 4: waited 8 s in ls_save() for rank 3" >&2; exec sleep 50\n',
                     '--max-restarts', '0')
    assert 'mpirun was ended by signal 9' in text and time.monotonic() - began < 30, (code, text)


def a_wish_to_stop_is_handed_on():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        job = begin(STOPS)
        wait_for(lambda: os.path.exists('ready'))
        job.send_signal(number)
        _, text = job.communicate(timeout=30)
        assert job.returncode == 75 and text.count('stopped after step 5') == 1, (job.returncode, text)
        os.remove('ready')


def takes(pid, number):
    """Whether a process keeps a signal for later or has a handler for it."""
    try:
        with open(f'/proc/{pid}/status') as file:
            masks = [int(m, 16) for m in re.findall(r'Sig(?:Blk|Cgt):\s*(\w+)', file.read())]
    except OSError:
        masks = []
    return any(m >> (number - 1) & 1 for m in masks)


def a_wish_to_stop_is_taken_before_libraries_are_loaded():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1) * 5:
        job = begin(STOPS)
        is_loaded = False
        while job.poll() is None and not takes(job.pid, number):
            assert not is_loaded, 'libraries are loaded, and %s is not taken' % number
            with open(f'/proc/{job.pid}/maps') as file:
                is_loaded = 'libmpi' in file.read()
        job.send_signal(number)
        _, text = job.communicate(timeout=30)
        assert job.returncode == 75 and 'run again' in text, (number, job.returncode, text)


def a_rank_that_was_asked_to_stop_is_not_started_again():
    code, text = run('echo "mpirun noticed that process rank 1 with PID 0 on node a exited on signal 15 (Terminated)."'
                     ' > said\nd=$(printf "%070d" 0 | tr 0 -)\n(echo $d; cat said; echo $d) >&2; exit 143\n')
    assert code == 75 and len(starts()) == 1 and 'run again' in text, (code, text)


def a_program_that_is_replaced_is_started_as_the_new_one():
    shutil.copy(LOCKSTEP, 'lockstep')
    code, text = run('cp lockstep new; mv new lockstep\nexit $((72 - 2 * times))\n', program='./lockstep')
    path = os.path.realpath('lockstep')
    assert [s[3:5] for s in starts()] == 3 * [[path, 'train']], (code, text, starts())


def nothing_depends_on_signals_that_were_ignored_before():
    code, text = run('exit 65\n', before=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert code == 65, (code, text)


def a_job_that_cannot_say_its_step_does_not_hang():
    """As on a full disk, where the lock has no text."""
    os.makedirs('runs/a')
    open('runs/a/.lockstep.lock', 'w').close()  # of a job that was killed
    code, text = run(': > runs/a/.lockstep.lock; sleep 3; exit 65\n', '--hang-timeout=1s')
    assert code == 65, (code, text)
    code, text = run('sleep 3; exit 65\n', '--hang-timeout=1s', '--max-restarts=0')
    assert code == 71, (code, text)


def one_launcher_a_directory():
    os.makedirs('runs/a')
    job = begin('touch ready; exec sleep 50\n')
    wait_for(lambda: os.path.exists('ready'))
    code, text = run('touch second\n')
    assert code == 73 and f'another launcher works here: process {job.pid} on ' in text, (code, text)
    assert not os.path.exists('second')
    job.kill()
    job.communicate()


def what_a_dead_launcher_left_is_ended_first():
    os.makedirs('runs/a')
    job = begin('trap "sleep 0.3; touch gone; exit" TERM\ntouch ready\nwhile :; do sleep 0.05; done\n')
    wait_for(lambda: os.path.exists('ready'))
    job.kill()
    job.communicate()
    code, text = run('[ -f gone ] || touch early\nexit 65\n')
    assert code == 65 and os.path.exists('gone') and not os.path.exists('early'), (code, text)
    assert os.listdir('runs/a') == [], os.listdir('runs/a')


def is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def what_it_left_before_there_was_a_directory_is_ended_as_well():
    job = begin('trap "" TERM\necho $$ > pid\ntouch ready; exec sleep 50\n')
    wait_for(lambda: os.path.exists('ready'))
    job.kill()
    job.communicate()
    with open('pid') as file:
        pid = int(file.read())
    time.sleep(0.2)
    assert is_alive(pid), 'it does not ignore SIGTERM'
    code, text = run('exit 65\n')
    assert code == 65 and not is_alive(pid), (code, text)


def an_mpirun_that_hangs_after_its_ranks_is_ended():
    began = time.monotonic()
    code, text = run('for i in 1 2 3 4; do PMIX_NAMESPACE=77 sleep 0.5 & done; exec sleep 50\n', '--max-restarts', '0')
    assert 'mpirun was ended by signal 9' in text and time.monotonic() - began < 10, (code, text)


def an_mpirun_with_a_rank_is_not():
    code, text = run('for i in 1 2 3; do PMIX_NAMESPACE=77 sleep 0.5 & done; PMIX_NAMESPACE=77 sleep 5 &\nwait; exit 65\n')
    assert code == 65, (code, text)


def nothing_is_ended_by_an_old_number():
    os.makedirs('runs/a')
    other = subprocess.Popen(['sleep', '50'])
    with open('runs/a/.lockstep.launch', 'w') as out:
        out.write('process 1 on %s\non %s mpirun %d since 1 job 0\n' % (os.uname().nodename, os.uname().nodename, other.pid))
    code, text = run('exit 65\n')
    assert code == 65 and other.poll() is None, (code, text)
    other.kill()
    other.wait()


def main():
    cases = [f for name, f in globals().items() if callable(f) and getattr(f, '__module__', '') == '__main__'
             and name not in ('begin', 'run', 'starts', 'takes', 'is_alive', 'wait_for', 'main')]
    print('1..%d' % len(cases))
    data = tempfile.mkdtemp(prefix='lockstep-launch-')
    os.chdir(data)
    with open('d.csv', 'w') as out:
        out.write('1,2\n2,4\n3,6\n')
    subprocess.run([LOCKSTEP, 'convert', 'd.csv', 'd.h5'], check=True, stdout=subprocess.DEVNULL)
    for number, case in enumerate(cases, 1):
        place = tempfile.mkdtemp(dir=data)
        os.chdir(place)
        shutil.copy('../d.h5', '.')
        with open('a.yaml', 'w') as out:
            out.write(CONFIG)
        try:
            case()
            print('ok', number, '-', case.__name__, flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            print('not ok', number, '-', case.__name__)
            print('# ' + repr(e).replace('\\n', '\n# '), flush=True)
            results.append(case)
    os.chdir('/')
    shutil.rmtree(data, ignore_errors=True)
    return 1 if results else 0


if __name__ == '__main__':
    sys.exit(main())
