"""Writes draws.inc: hashes of the random numbers that PyTorch draws. Needs PyTorch (1.13 and 2.15 draw the
same) on a machine with AVX2; the tests do not.

    python3 draws.py > draws.inc

Each line becomes one of a table in tests/unit/test_random.c: what is drawn after manual_seed(), and the
SHA-256 of its bytes. Twenty linear layers are made one after another from one stream.
"""
import hashlib
import torch

torch.set_num_threads(1)
F32, F64 = torch.float32, torch.float64
NAMES = {F32: 'LS_FLOAT32', F64: 'LS_FLOAT64'}


def digest(*tensors):
    s = hashlib.sha256()
    for t in tensors:
        s.update(t.detach().numpy().tobytes())
    return f'"{s.hexdigest()}"'


def draw(seed, count, a, b, dtype, is_normal):
    torch.manual_seed(seed)
    t = torch.zeros(count, dtype=dtype)
    t = t.normal_(a, b) if is_normal else t.uniform_(a, b)
    print(f'DRAW({seed}, {count}, {a}, {b}, {NAMES[dtype]}, {str(is_normal).lower()},\n     {digest(t)})')


def permutation(seed, count):
    torch.manual_seed(seed)
    print(f'PERMUTATION({seed}, {count},\n            {digest(torch.randperm(count))})')


def linear(inputs, outputs, bias):
    m = torch.nn.Linear(inputs, outputs, bias=bias)
    print(f'LINEAR({inputs}, {outputs}, {str(bias).lower()},\n       {digest(*m.parameters())})')


def mixed(dtype):
    torch.manual_seed(1)
    parts = [f(n, dtype=dtype) for f, n in ((torch.randn, 3), (torch.rand, 2), (torch.randn, 4), (torch.randn, 17),
                                            (torch.randn, 2))]
    print(f'MIXED({NAMES[dtype]},\n      {digest(*parts)})')


print('/* Written by draws.py: what PyTorch draws. */')
print('#ifdef DRAW /* seed, count, from and to or mean and deviation, type, whether normal */')
draw(1, 1000000, 0, 1, F32, False)
draw(1, 1000000, 0, 1, F64, False)
draw(5, 1000000, -0.577, 10.1, F32, False)
draw(5, 1000000, -0.577, 10.1, F64, False)
draw(4294967301, 5, 0, 1, F32, False)  # only the low half of a seed counts
for count in (5, 15, 16, 17, 1000003):
    draw(1, count, 0, 1, F32, True)
draw(4, 1000, -1.5, 0.3, F32, True)
draw(4, 9, -1.5, 0.3, F32, True)
for count in (5, 15, 16):
    draw(1, count, 0, 1, F64, True)
draw(4, 1000, -1.5, 0.3, F64, True)
print('#endif\n#ifdef MIXED /* type: small and large draws, normal and uniform, in one stream */')
mixed(F32)
mixed(F64)
print('#endif\n#ifdef PERMUTATION /* seed, count */')
for seed, count in ((6, 1), (6, 2), (6, 10), (6, 100000), (6, 5000000)):
    permutation(seed, count)
torch.manual_seed(8)
words = torch.empty(10, dtype=torch.int64).random_()
print(f'#endif\n#ifdef WORDS /* seed, count: of 64 bits */\nWORDS(8, 10,\n      {digest(words)})')
print('#endif\n#ifdef LINEAR /* inputs, outputs, bias: one after another, after manual_seed(1) */')
torch.manual_seed(1)
for inputs, outputs, bias in (
        (1, 1, True), (3, 1, True), (3, 2, True), (3, 1, False), (2, 5, True), (10, 10, True), (7, 3, False),
        (16, 16, True), (17, 1, True), (100, 1, True), (1, 100, True), (31, 33, True), (64, 10, False),
        (128, 10, True), (200, 50, True), (784, 33, True), (784, 128, True), (1000, 3, False), (512, 512, True),
        (1024, 257, True)):
    linear(inputs, outputs, bias)
print('#endif')
