#!/usr/bin/env python3
"""tools/state_dict: state_dicts to checkpoints that lockstep reads, and back. TAP on stdout.

    state_dict.py LOCKSTEP TOOL

Left out where h5py is missing; what needs torch, where torch is."""
import importlib.util
import os
import subprocess
import sys
import tempfile

if not importlib.util.find_spec('h5py'):
    print('1..0 # SKIP there is no h5py here')
    sys.exit(0)
import numpy

lockstep, tool = map(os.path.abspath, sys.argv[1:3])
os.chdir(tempfile.mkdtemp(prefix='lockstep-state-'))
count = 0

CSV = 'a,b,c,y\n73,80,75,152\n93,88,93,185\n89,91,90,180\n96,98,100,196\n73,66,70,142\n'
RUN = '''seed: 1
data: {train: scores.h5, batch_size: 2}
model: [linear: 4, tanh, linear: 1]
loss: mse
optimizer: {sgd: {lr: 1e-3, momentum: 0.9}}
train: {epochs: 2}
checkpoint: {dir: runs}
'''
CKPT = 'runs/scores-000000000006.h5'


def run(*words):
    return subprocess.run(words, capture_output=True, text=True)


def must(*words):
    p = run(*words)
    if p.returncode:
        sys.exit(f'{words}: {p.stderr}')
    return p.stdout


def state_dict(*words):
    return run(sys.executable, tool, *words)


def check(name, good, *said):
    global count
    count += 1
    print(f'{"ok" if good else "not ok"} {count} - {name}')
    for text in () if good else said:
        print('#', str(text).replace('\n', '\n# '))


def check_done(name, p):
    check(name, p.returncode == 0 and not p.stderr, p.stderr)


def check_fails(name, p, text):
    check(name, p.returncode == 1 and p.stderr == f'state_dict: {text}\n', p.returncode, p.stderr)


def bytes_of(path):
    with open(path, 'rb') as f:
        return f.read()


def cost(state):
    """What lockstep eval says of the model, worked out here."""
    rows = numpy.array([[float(v) for v in line.split(',')] for line in CSV.split()[1:]])
    h = numpy.tanh(rows[:, :3] @ state['0.weight'].T.astype(float) + state['0.bias'])
    y = h @ state['2.weight'].T.astype(float) + state['2.bias']
    return ((y[:, 0] - rows[:, 3]) ** 2).mean()


def evaluated(path):
    return float(must(lockstep, 'eval', path, '--data', 'scores.h5').split()[1])


for name, text in {'scores.csv': CSV, 'scores.yaml': RUN}.items():
    with open(name, 'w') as f:
        f.write(text)
must(lockstep, 'convert', 'scores.csv', 'scores.h5')
must(lockstep, 'train', 'scores.yaml', '--quiet')

check_done('export', state_dict('export', CKPT, 'a.npz'))
state = dict(numpy.load('a.npz'))
shapes = {name: value.shape for name, value in state.items()}
check('names and shapes are those of a state_dict',
      shapes == {'0.weight': (4, 3), '0.bias': (4,), '2.weight': (1, 4), '2.bias': (1,)}, shapes)
check('values are those of the model', abs(evaluated(CKPT) / cost(state) - 1) < 1e-6, evaluated(CKPT), cost(state))

check_done('import like another', state_dict('import', 'a.npz', 'same.h5', '--like', CKPT))
check('there and back: the same bytes', bytes_of('same.h5') == bytes_of(CKPT))
p = run(lockstep, 'diff', CKPT, 'same.h5')
check('lockstep diff finds nothing', p.returncode == 0 and not p.stdout, p.stdout, p.stderr)

state['2.weight'][0, 2] = numpy.nextafter(state['2.weight'][0, 2], numpy.float32(9))
state['2.bias'] += numpy.float32(100)
numpy.savez('other.npz', **state)
state_dict('import', 'other.npz', 'other.h5', '--like', CKPT, '--step', '7')
check('the imported model is evaluated', abs(evaluated('other.h5') / cost(state) - 1) < 1e-6)
p = run(lockstep, 'diff', 'same.h5', 'other.h5')
check('lockstep diff finds what was changed', p.returncode == 1 and
      p.stdout.startswith('step: 6 and 7\n/model/2.bias: 1 of 1 values differ, first [0]: '), p.stdout, p.stderr)
del state['2.bias']
state['2.bias'] = numpy.load('a.npz')['2.bias']
numpy.savez('ulp.npz', **state)
state_dict('import', 'ulp.npz', 'ulp.h5', '--like', CKPT)
p = run(lockstep, 'diff', 'same.h5', 'ulp.h5')
check('also where it is one ulp', p.returncode == 1 and '/model/2.weight: 1 of 4 values differ, first [2]: ' in p.stdout
      and 'at most 1 ulp apart' in p.stdout, p.stdout, p.stderr)

check_done('import alone', state_dict('import', 'a.npz', 'alone.h5'))
p = run(lockstep, 'verify', 'alone.h5')
check('it is sound', p.returncode == 0 and 'alone.h5: sound, step 0, 4 parameters, ' in p.stdout, p.stdout, p.stderr)
state_dict('export', 'alone.h5', 'b.npz')
check('it holds the values', all((value == numpy.load('b.npz')[name]).all()
                                 for name, value in numpy.load('a.npz').items()))
p = run(lockstep, 'diff', 'alone.h5', 'other.h5')
check('lockstep diff compares it', p.returncode == 1 and '/model/2.bias: 1 of 1 values differ' in p.stdout, p.stdout, p.stderr)

for name, change, text in (
        ('a missing parameter', lambda s: s.pop('0.bias'), f'0.bias is only in {CKPT}'),
        ('one too many', lambda s: s.update({'4.bias': s['0.bias']}), '4.bias is only in the state_dict'),
        ('another shape', lambda s: s.update({'2.bias': s['0.bias']}),
         f'2.bias is float32 [4], in {CKPT} float32 [1]'),
        ('another type', lambda s: s.update({'2.bias': s['2.bias'].astype(float)}),
         f'2.bias is float64 [1], in {CKPT} float32 [1]'),
        ('a type that there is not', lambda s: s.update({'2.bias': s['2.bias'].astype(numpy.float16)}),
         '2.bias is float16: lockstep has float32, float64, int64')):
    odd = dict(numpy.load('a.npz'))
    change(odd)
    numpy.savez('odd.npz', **odd)
    check_fails(name, state_dict('import', 'odd.npz', 'odd.h5', '--like', CKPT), text)
damaged = bytearray(bytes_of(CKPT))
damaged[2600] ^= 1
with open('damaged.h5', 'wb') as f:
    f.write(damaged)
check_fails('a damaged checkpoint', state_dict('export', 'damaged.h5', 'odd.npz'), 'damaged.h5 is damaged')
with open('odd.npz', 'wb') as f:
    f.write(b'PK no archive')
check_fails('a torn archive', state_dict('import', 'odd.npz', 'odd.h5'), 'odd.npz holds no arrays: numpy.savez(FILE, **{name: array}) writes them')
check_fails('no checkpoint', state_dict('export', 'scores.h5', 'odd.npz'), 'scores.h5 is not a lockstep checkpoint')
check('nothing is left of what failed', sorted(name for name in os.listdir('.') if 'odd' in name) == ['odd.npz'])

if importlib.util.find_spec('torch'):
    import torch
    state_dict('export', CKPT, 'a.pt')
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    model.load_state_dict(torch.load('a.pt'))
    torch.save(model.state_dict(), 'b.pt')
    p = state_dict('import', 'b.pt', 'torch.h5', '--like', CKPT)
    check('through a module of PyTorch: the same bytes', p.returncode == 0 and bytes_of('torch.h5') == bytes_of(CKPT), p.stderr)
    torch.save(model, 'module.pt')
    p = state_dict('import', 'module.pt', 'odd.h5', '--like', CKPT)
    check_fails('a module is no state_dict', p, 'module.pt holds no state_dict: torch.save(model.state_dict(), ...) writes one')
else:
    count += 1
    print(f'ok {count} # SKIP there is no torch here')
print(f'1..{count}')
subprocess.run(['rm', '-rf', os.getcwd()])
