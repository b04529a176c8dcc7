"""Writes cases.txt: operations on random inputs, and what PyTorch makes of them. Needs PyTorch (1.13);
the test that reads it does not.

    python3 make_cases.py > ../data/torch/cases.txt

Inputs are drawn after torch.manual_seed() of the case's number, in order: uniform numbers, or classes;
last the weights by which results are summed for backward. test_torch.c draws the same. A case is:

    case NAME BITS SEED CRC ARGS... | KIND LOW HIGH DIMS... | ...
    y ULPS VALUES EXPONENTS
    g INPUT ULPS VALUES EXPONENTS

KIND: u uniform, with gradient; c uniform, without; k classes from 0 to HIGH - 1. CRC: of the inputs'
and weights' bytes. VALUES: their bits. EXPONENTS: of the magnitude that rounding is measured by, plus
2048, in three digits: the value itself (then =), or the sum of the magnitudes of the terms it is made
of, or the larger operand where there is cancellation.
"""
import math
import struct
import sys
import zlib
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
EXACT, SUM, FUNCTION = 2, 4, 4  # units in the last place


def softmax_terms(x, g, axis):
    y = torch.softmax(x, axis)
    return y * (g.abs() + (g * y).abs().sum(axis, keepdim=True))


def centred(x, axis):
    m = x.amax(axis, keepdim=True)
    return (x - m).abs() + torch.log(torch.exp(x - m).sum(axis, keepdim=True)).abs()


def density(x):
    return torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def gelu_inner(x):
    return torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))


def scores(o, x):
    """Coefficients of log p, by class: what a loss of scores is a sum of."""
    logits, label = x[0], x[1]
    classes = logits.shape[1]
    one = F.one_hot(label.clamp(min=0), classes).movedim(-1, 1).to(logits)
    weight = o.get('weight', torch.ones(classes, dtype=logits.dtype)).view([1, classes] + [1] * (logits.dim() - 2))
    counts = (label != o.get('ignore_index', -100)).to(logits)
    smoothing = o.get('label_smoothing', 0)
    total = (weight * one).sum(1).mul(counts).sum() if o.get('reduction', 'mean') == 'mean' else 1
    return ((1 - smoothing) * one * weight + smoothing / classes * weight) * counts.unsqueeze(1) / total


class Op:
    """f(x, a): inputs and arguments. y, g: the magnitudes, from inputs, arguments and weights, in float64;
    None: of the values themselves; 'abs': of what comes of the absolute inputs and weights."""

    def __init__(self, f, y=None, g=None, ulps=EXACT, back=None):
        self.f, self.y, self.g, self.ulps, self.back = f, y, g, ulps, ulps if back is None else back


def of_scores(f, name):
    def options(x, a):
        o = {}
        if a[0]:
            o['ignore_index'] = int(a[1])
        if a[2]:
            o['label_smoothing'] = a[2]
        o['reduction'] = ['mean', 'sum', 'none'][int(a[3])]
        if len(x) > 2:
            o['weight'] = x[2]
        return o

    def magnitude(x, a, w):
        terms = centred(x[0], 1) if name == 'ce' else x[0].abs()
        terms = scores(options(x, a), x) * terms
        return terms.sum(1) if a[3] == 2 else terms.sum()

    def back(x, a, w):
        c = scores(options(x, a), x)
        w = w.abs() if a[3] != 2 else w.abs().unsqueeze(1)
        p = torch.softmax(x[0], 1) * c.sum(1, keepdim=True) if name == 'ce' else 0
        return [(c + p) * w]

    return Op(lambda x, a: f(x[0], x[1], **options(x, a)), magnitude, back, SUM)


def as_numbers(t, x):
    """Of no gradient, in the type of the inputs, or of those that are drawn beside classes."""
    return t.to(x[0].dtype if x[0].is_floating_point() else WIDTH[0])


def indicator(f):
    return Op(lambda x, a: as_numbers(f(x[0], x[1]), x))


WIDTH = [torch.float32]  # of the case that is made
REDUCTIONS = ['mean', 'sum', 'none', 'batchmean']


def how(a, i=0):
    return REDUCTIONS[int(a[i])] if len(a) > i else 'mean'


def loss(f, terms=None, g=None, ulps=FUNCTION):
    """terms(x, a): the magnitude of each element's cost; g likewise, of its gradients."""
    def over(t, a):
        t = {'mean': t.mean, 'sum': t.sum, 'none': lambda: t, 'batchmean': lambda: t.sum() / t.shape[0]}[how(a)]()
        return t

    def share(x, a):
        return {'mean': 1 / x[0].numel(), 'sum': 1, 'none': 1, 'batchmean': 1 / x[0].shape[0]}[how(a)]
    y = (lambda x, a, w: over(terms(x, a), a)) if terms else None
    back = (lambda x, a, w: [t * w.abs() * share(x, a) for t in g(x, a)]) if g else None
    return Op(f, y, back, ulps)


def axes_of(a):
    return [int(i) for i in a[1:]]


def variance(x, a):
    axes = axes_of(a[1:]) or list(range(x.dim()))
    m = x.mean(axes, keepdim=True)
    n = x.numel() // m.numel()
    return axes, (x - m), x.abs() + m.abs(), n - (1 if a[1] else 0)


def var_y(x, a, w):
    axes, d, size, n = variance(x[0], a)
    return (d.abs() * size).sum(axes, keepdim=bool(a[0])) / n


def keep(w, x, axes, kept):
    if kept:
        return w
    for axis in sorted(i % x.dim() for i in axes):
        w = w.unsqueeze(axis)
    return w


def var_g(x, a, w):
    axes, d, size, n = variance(x[0], a)
    return [2 * size / n * keep(w, x[0], axes, a[0]).abs()]


def std_y(x, a, w):
    v = torch.var(x[0], variance(x[0], a)[0], unbiased=bool(a[1]), keepdim=bool(a[0]))
    return var_y(x, a, w) / torch.sqrt(v)


def std_g(x, a, w):
    axes, d, size, n = variance(x[0], a)
    s = torch.std(x[0], axes, unbiased=bool(a[1]), keepdim=True)
    return [size / n / s * keep(w, x[0], axes, a[0]).abs() * (1 + var_scale(x[0], a, axes))]


def var_scale(x, a, axes):
    """How much the deviation itself is off, in units."""
    v = torch.var(x, axes, unbiased=bool(a[1]), keepdim=True)
    axes, d, size, n = variance(x, a)
    return (d.abs() * size).sum(axes, keepdim=True) / n / v


linear_map = dict(y='abs', g='abs', ulps=SUM)
OPS = {
    'add': Op(lambda x, a: x[0] + x[1], g='abs', back=SUM),
    'sub': Op(lambda x, a: x[0] - x[1], g='abs', back=SUM),
    'mul': Op(lambda x, a: x[0] * x[1], g='abs', back=SUM),
    'div': Op(lambda x, a: x[0] / x[1], g='abs', back=SUM),
    'pow_tensor': Op(lambda x, a: x[0] ** x[1], ulps=FUNCTION),
    'minimum': Op(lambda x, a: torch.minimum(x[0], x[1]), g='abs', back=SUM),
    'maximum': Op(lambda x, a: torch.maximum(x[0], x[1]), g='abs', back=SUM),
    'where': Op(lambda x, a: torch.where(x[0] < x[1], x[1], x[2])),
    'add_scalar': Op(lambda x, a: x[0] + a[0]),
    'sub_scalar': Op(lambda x, a: x[0] - a[0]),
    'mul_scalar': Op(lambda x, a: x[0] * a[0]),
    'div_scalar': Op(lambda x, a: x[0] / a[0]),
    'pow': Op(lambda x, a: x[0] ** a[0], ulps=FUNCTION),
    'neg': Op(lambda x, a: -x[0]),
    'abs': Op(lambda x, a: x[0].abs()),
    'sqrt': Op(lambda x, a: torch.sqrt(x[0])),
    'exp': Op(lambda x, a: torch.exp(x[0]), ulps=FUNCTION),
    'log': Op(lambda x, a: torch.log(x[0]), ulps=FUNCTION),
    'log1p': Op(lambda x, a: torch.log1p(x[0]), ulps=FUNCTION),
    'erf': Op(lambda x, a: torch.erf(x[0]), ulps=FUNCTION),
    'clamp': Op(lambda x, a: torch.clamp(x[0], a[0], a[1])),
    'relu': Op(lambda x, a: torch.relu(x[0])),
    'leaky_relu': Op(lambda x, a: F.leaky_relu(x[0], a[0])),
    'sigmoid': Op(lambda x, a: torch.sigmoid(x[0]), g=lambda x, a, w: [w.abs() * torch.sigmoid(x[0])], ulps=FUNCTION),
    'tanh': Op(lambda x, a: torch.tanh(x[0]), g=lambda x, a, w: [w.abs()], ulps=FUNCTION),
    'gelu': Op(lambda x, a: F.gelu(x[0]), lambda x, a, w: 0.5 * x[0].abs() * (1 + torch.erf(x[0] / math.sqrt(2)).abs()),
               lambda x, a, w: [w.abs() * (0.5 + x[0].abs() * density(x[0]))], FUNCTION),
    'gelu_tanh': Op(lambda x, a: F.gelu(x[0], approximate='tanh'),
                    lambda x, a, w: 0.5 * x[0].abs() * (1 + gelu_inner(x[0]).abs()),
                    lambda x, a, w: [w.abs() * (0.5 + 0.4 * x[0].abs() * (1 + 0.134145 * x[0] ** 2))], FUNCTION),
    'softplus': Op(lambda x, a: F.softplus(x[0]), ulps=FUNCTION),
    'silu': Op(lambda x, a: F.silu(x[0]), g=lambda x, a, w: [w.abs() * torch.sigmoid(x[0]) * (1 + x[0].abs())],
               ulps=FUNCTION),
    'softmax': Op(lambda x, a: torch.softmax(x[0], int(a[0])), g=lambda x, a, w: [softmax_terms(x[0], w, int(a[0]))],
                  ulps=FUNCTION),
    'log_softmax': Op(lambda x, a: torch.log_softmax(x[0], int(a[0])), lambda x, a, w: centred(x[0], int(a[0])),
                      lambda x, a, w: [w.abs() + torch.softmax(x[0], int(a[0])) *
                                       w.abs().sum(int(a[0]), keepdim=True)], FUNCTION),
    'logsumexp': Op(lambda x, a: torch.logsumexp(x[0], int(a[0])),
                    lambda x, a, w: x[0].amax(int(a[0])).abs() + centred(x[0], int(a[0])).amin(int(a[0])),
                    lambda x, a, w: [w.abs().unsqueeze(int(a[0])) * torch.softmax(x[0], int(a[0])) *
                                     (1 + x[0].abs() + torch.logsumexp(x[0], int(a[0]), True).abs())], FUNCTION),
    'matmul': Op(lambda x, a: torch.matmul(x[0], x[1]), **linear_map),
    'bmm': Op(lambda x, a: torch.bmm(x[0], x[1]), **linear_map),
    'mv': Op(lambda x, a: torch.mv(x[0], x[1]), **linear_map),
    'dot': Op(lambda x, a: torch.dot(x[0], x[1]), **linear_map),
    'linear': Op(lambda x, a: F.linear(*x), **linear_map),
    'sum': Op(lambda x, a: x[0].sum(), **linear_map),
    'mean': Op(lambda x, a: x[0].mean(), **linear_map),
    'sum_axes': Op(lambda x, a: x[0].sum(axes_of(a), keepdim=bool(a[0])), **linear_map),
    'mean_axes': Op(lambda x, a: x[0].mean(axes_of(a), keepdim=bool(a[0])), **linear_map),
    'var': Op(lambda x, a: torch.var(x[0], axes_of(a[1:]) or list(range(x[0].dim())), unbiased=bool(a[1]),
                                     keepdim=bool(a[0])), var_y, var_g, SUM),
    'std': Op(lambda x, a: torch.std(x[0], axes_of(a[1:]) or list(range(x[0].dim())), unbiased=bool(a[1]),
                                     keepdim=bool(a[0])), std_y, std_g, SUM),
    'max': Op(lambda x, a: x[0].max()),
    'min': Op(lambda x, a: x[0].min()),
    'amax': Op(lambda x, a: x[0].amax(axes_of(a), keepdim=bool(a[0]))),
    'amin': Op(lambda x, a: x[0].amin(axes_of(a), keepdim=bool(a[0]))),
    'max_axis': Op(lambda x, a: x[0].max(int(a[0])).values),
    'min_axis': Op(lambda x, a: x[0].min(int(a[0])).values),
    'view': Op(lambda x, a: x[0].view([int(i) for i in a])),
    'squeeze': Op(lambda x, a: x[0].squeeze()),
    'unsqueeze': Op(lambda x, a: x[0].unsqueeze(int(a[0]))),
    'squeeze_axis': Op(lambda x, a: x[0].squeeze(int(a[0]))),
    'reshape': Op(lambda x, a: x[0].reshape([int(i) for i in a])),
    'view_as': Op(lambda x, a: x[0].view_as(x[1])),
    'expand_as': Op(lambda x, a: x[0].expand_as(x[1]), g='abs', back=SUM),
    'clone': Op(lambda x, a: x[0].clone()),
    'equal': indicator(torch.eq),
    'not_equal': indicator(torch.ne),
    'less': indicator(torch.lt),
    'less_equal': indicator(torch.le),
    'greater': indicator(torch.gt),
    'greater_equal': indicator(torch.ge),
    'argmax': Op(lambda x, a: as_numbers(x[0].argmax(int(a[0])), x)),
    'argmin': Op(lambda x, a: as_numbers(x[0].argmin(int(a[0])), x)),
    'transpose': Op(lambda x, a: x[0].transpose(int(a[0]), int(a[1]))),
    'permute': Op(lambda x, a: x[0].permute([int(i) for i in a])),
    'slice': Op(lambda x, a: x[0].movedim(int(a[0]), 0)[int(a[1]):int(a[2]):int(a[3])].movedim(0, int(a[0]))),
    'narrow': Op(lambda x, a: x[0].narrow(int(a[0]), int(a[1]), int(a[2]))),
    'select': Op(lambda x, a: x[0].select(int(a[0]), int(a[1]))),
    'index_select': Op(lambda x, a: x[0].index_select(int(a[0]), x[1]), g='abs', back=SUM),
    'gather': Op(lambda x, a: x[0].gather(int(a[0]), x[1]), g='abs', back=SUM),
    'cat': Op(lambda x, a: torch.cat(x, int(a[0]))),
    'stack': Op(lambda x, a: torch.stack(x, int(a[0]))),
    'mse_loss': loss(lambda x, a: F.mse_loss(x[0], x[1], reduction=how(a)), ulps=SUM),
    'l1_loss': loss(lambda x, a: F.l1_loss(x[0], x[1], reduction=how(a)), ulps=SUM),
    'smooth_l1_loss': loss(lambda x, a: F.smooth_l1_loss(x[0], x[1], beta=a[1], reduction=how(a)), ulps=SUM),
    'huber_loss': loss(lambda x, a: F.huber_loss(x[0], x[1], delta=a[1], reduction=how(a)), ulps=SUM),
    'bce_loss': loss(lambda x, a: F.binary_cross_entropy(x[0], x[1], *x[2:], reduction=how(a)),
                     g=lambda x, a: [(x[0] + x[1]) / (x[0] * (1 - x[0])) * (x[2] if len(x) > 2 else 1)]),
    'bce_with_logits': loss(
        lambda x, a: F.binary_cross_entropy_with_logits(x[0], x[1], pos_weight=x[2] if len(x) > 2 else None,
                                                        reduction=how(a)),
        lambda x, a: ((1 - x[1]) * x[0]).abs() + (1 + (x[2] if len(x) > 2 else 1) * x[1]) * F.softplus(-x[0]) + x[0].abs(),
        lambda x, a: [(torch.sigmoid(x[0]) + x[1]) * (1 + (x[2] if len(x) > 2 else 0))]),
    'kl_div': loss(lambda x, a: F.kl_div(x[0], x[1], log_target=bool(a[1]), reduction=how(a)),
                   lambda x, a: x[1].exp() * (x[1].abs() + x[0].abs()) if a[1]
                   else x[1] * (x[1].log().abs() + x[0].abs())),
    'nll_loss': of_scores(F.nll_loss, 'nll'),
    'cross_entropy': of_scores(F.cross_entropy, 'ce'),
}


def u(*dims, low=-2, high=2):
    return 'u', low, high, dims


def c(*dims, low=-2, high=2):
    return 'c', low, high, dims


def k(classes, *dims):
    return 'k', 0, classes, dims


ELEMENTS = ['neg', 'abs', 'exp', 'relu', 'sigmoid', 'tanh', 'gelu', 'gelu_tanh', 'softplus', 'silu', 'erf']
BROADCASTS = [((5, 3), (5, 3)), ((5, 3), (3,)), ((5, 1), (4,)), ((4, 3), (4, 1)), ((2, 3, 4), (3, 1)), ((7,), ()),
              ((40, 2), (2,))]
LOSSES = ['mse_loss', 'l1_loss']
SHAPES = [((5, 3), (5, 3)), ((70, 1), (70, 1)), ((9,), (9,))]


def cases():
    for name in ELEMENTS:
        yield name, [u(37, low=-4, high=4)], []
        yield name, [u(3, 4, 2)], []
    for name in ('sqrt', 'log'):
        yield name, [u(40, low=0.01, high=9)], []
    yield 'log1p', [u(40, low=-0.9, high=4)], []
    yield 'leaky_relu', [u(20)], [0.01]
    yield 'clamp', [u(20)], [-0.5, 0.75]
    for number in (0.7, -3):
        for name in ('add_scalar', 'sub_scalar', 'mul_scalar', 'div_scalar'):
            yield name, [u(12)], [number]
    for number in (-2, -1, -0.5, 0, 0.5, 1, 2, 3, 1.7, 5):
        yield 'pow', [u(16, low=0.2, high=3)], [number]
    for name in ('add', 'sub', 'mul'):
        for a, b in BROADCASTS:
            yield name, [u(*a), u(*b)], []
    for a, b in BROADCASTS:
        yield 'div', [u(*a), u(*b, low=0.4, high=3)], []
    for name in ('minimum', 'maximum'):
        yield name, [u(5, 3), u(5, 3)], []
        yield name, [u(5, 3), u(3)], []
    yield 'pow_tensor', [u(30, low=0.3, high=2.5), u(30)], []
    yield 'where', [c(5, 3), u(5, 3), u(5, 3)], []
    for shape, axes in (((5, 3), (0, 1)), ((4, 3, 2), (0, 1, 2)), ((3, 40), (1,)), ((2, 600), (-1,))):
        for axis in axes:
            for name in ('softmax', 'log_softmax', 'logsumexp'):
                yield name, [u(*shape, low=-5, high=5)], [axis]
    for a, b in (((5, 3), (3, 2)), ((9, 17), (17, 4)), ((6, 4), (4,)), ((4,), (4, 3)), ((9,), (9,)), ((3, 300), (300, 2)),
                 ((2, 3, 4), (4, 2)), ((2, 3, 4), (2, 4, 2)), ((2, 1, 3, 4), (3, 4, 2)), ((3,), (2, 3, 2)), ((2, 3, 4), (4,))):
        yield 'matmul', [u(*a), u(*b)], []
    yield 'bmm', [u(3, 2, 4), u(3, 4, 2)], []
    yield 'mv', [u(20, 3), u(3)], []
    yield 'dot', [u(30), u(30)], []
    for n, d, o in ((5, 3, 1), (9, 20, 4), (70, 2, 3), (1, 1, 1)):
        yield 'linear', [u(n, d), u(o, d), u(o)], []
    yield 'linear', [u(4, 6), u(3, 6)], []
    yield 'linear', [u(2, 3, 4), u(3, 4), u(3)], []
    for name in ('sum', 'mean', 'max', 'min'):
        for shape in ((5, 3), (100,), (2, 3, 4)):
            yield name, [u(*shape)], []
    yield 'sum', [u(3000)], []
    yield 'mean', [u(3000)], []
    for name in ('sum_axes', 'mean_axes', 'amax', 'amin'):
        for shape, axes in (((5, 3), (0,)), ((5, 3), (1,)), ((4, 3, 2), (0, 2)), ((4, 3, 2), (-2,)), ((40, 3), (0,))):
            for kept in (0, 1):
                yield name, [u(*shape)], [kept, *axes]
    for name in ('var', 'std'):
        for shape, axes in (((20,), ()), ((6, 3), (0,)), ((4, 30), (1,)), ((3, 4, 5), (0, 2))):
            yield name, [u(*shape)], [0, 1, *axes]
        yield name, [u(6, 5)], [1, 0, 1]
    for name in ('max_axis', 'min_axis'):
        yield name, [u(5, 3)], [1]
        yield name, [u(4, 3, 2)], [1]
        yield name, [u(5, 3)], [0]
    yield 'view', [u(4, 3)], [2, -1]
    yield 'squeeze', [u(4, 1, 3)], []
    yield 'unsqueeze', [u(4, 3)], [1]
    yield 'transpose', [u(4, 3)], [0, 1]
    yield 'transpose', [u(2, 3, 4)], [-1, 0]
    yield 'permute', [u(2, 3, 4)], [2, 0, 1]
    yield 'slice', [u(7, 3)], [0, 1, 6, 2]
    yield 'slice', [u(3, 7)], [1, -4, 7, 1]
    yield 'narrow', [u(3, 7)], [1, 2, 3]
    yield 'select', [u(3, 4)], [0, -1]
    yield 'select', [u(3, 4, 2)], [1, 2]
    yield 'index_select', [u(5, 3), k(5, 8)], [0]
    yield 'index_select', [u(3, 5), k(5, 4)], [1]
    yield 'gather', [u(4, 5), k(5, 4, 3)], [1]
    yield 'cat', [u(4, 1), u(4, 2)], [1]
    yield 'cat', [u(2, 3), u(1, 3), u(4, 3)], [0]
    yield 'cat', [u(2, 1), u(2, 2), u(2, 1), u(2, 3), u(2, 1), u(2, 2)], [-1]
    yield 'stack', [u(2, 3), u(2, 3)], [0]
    yield 'stack', [u(2, 3), u(2, 3), u(2, 3)], [-1]
    for name in LOSSES:
        for a, b in SHAPES:
            yield name, [u(*a), u(*b)], [0]
        for reduction in (1, 2):
            yield name, [u(5, 3), u(5, 3)], [reduction]
    for name in ('smooth_l1_loss', 'huber_loss'):
        for reduction in (0, 1, 2):
            for beta in (1, 0.6):
                yield name, [u(5, 3), u(5, 3)], [reduction, beta]
    for reduction in (0, 1, 2):
        yield 'bce_loss', [u(5, 3, low=0.02, high=0.98), c(5, 3, low=0, high=1)], [reduction]
        yield 'bce_with_logits', [u(5, 3, low=-6, high=6), c(5, 3, low=0, high=1)], [reduction]
    yield 'bce_loss', [u(40, low=0.02, high=0.98), c(40, low=0, high=1), c(40, low=0.1, high=3)], [0]
    yield 'bce_with_logits', [u(5, 3, low=-6, high=6), c(5, 3, low=0, high=1), c(3, low=0.1, high=3)], [0]
    for reduction in (0, 1, 2, 3):
        yield 'kl_div', [u(5, 3, low=-3, high=0), c(5, 3, low=0.01, high=1)], [reduction, 0]
        yield 'kl_div', [u(5, 3, low=-3, high=0), c(5, 3, low=-3, high=0)], [reduction, 1]
    for name in ('nll_loss', 'cross_entropy'):
        for smoothing in (0, 0.1) if name == 'cross_entropy' else (0,):
            for ignores in (0, 1):
                for weight in ([], [c(4, low=0.2, high=2)]):
                    for reduction in (0, 1, 2):
                        yield name, [u(9, 4, low=-4, high=-0.1), k(4, 9), *weight], [ignores, 2, smoothing, reduction]
        yield name, [u(3, 4, 2, low=-4, high=-0.1), k(4, 3, 2)], [0, 0, 0, 0]
        yield name, [u(3, 4, 2, low=-4, high=-0.1), k(4, 3, 2), c(4, low=0.2, high=2)], [1, 1, 0, 0]
    yield 'squeeze_axis', [u(4, 1, 3)], [1]
    yield 'squeeze_axis', [u(4, 2, 1)], [-1]
    yield 'squeeze_axis', [u(4, 2, 1)], [1]
    yield 'reshape', [u(4, 6)], [2, -1, 3]
    yield 'view_as', [u(4, 6), c(3, 8)], []
    yield 'expand_as', [u(4, 1), c(4, 5)], []
    yield 'expand_as', [u(3), c(2, 4, 3)], []
    yield 'clone', [u(4, 3)], []
    yield 'leaky_relu', [u(19)], [0.2]
    for name in 'equal', 'not_equal', 'less', 'less_equal', 'greater', 'greater_equal':
        yield name, [c(4, 5), c(5)], []
        yield name, [k(3, 4, 5), k(3, 5)], []
    for name in 'argmax', 'argmin':
        yield name, [c(4, 5)], [1]
        yield name, [c(4, 5)], [0]


def draw(kind, low, high, dims, dtype):
    if kind == 'k':
        return torch.randint(0, high, dims)
    return torch.empty(dims, dtype=dtype).uniform_(low, high)


def raw(t):
    return t.detach().contiguous().numpy().tobytes()


def bits(t):
    form = {torch.float32: ('<f', '<I', 8), torch.float64: ('<d', '<Q', 16)}[t.dtype]
    return ''.join('%0*x' % (form[2], struct.unpack(form[1], struct.pack(form[0], v))[0]) for v in t.flatten().tolist())


def exponents(value, magnitude):
    own = value.detach().double().abs()
    size = torch.maximum(own, magnitude.detach().double().abs().expand(value.shape))
    if torch.equal(size, own):
        return '='
    return ''.join('%03x' % (2048 + math.frexp(v)[1] - 1 if v else 0) for v in size.flatten().tolist())


def run(op, inputs, spec, args, w, to=lambda t: t):
    x = [to(t).clone().requires_grad_(s[0] == 'u') if s[0] != 'k' else t for t, s in zip(inputs, spec)]
    y = op.f(x, args)
    if y.requires_grad:
        (y * to(w)).sum().backward()
    return y, [t.grad for t in x]


def write(number, name, spec, args, dtype):
    op, WIDTH[0] = OPS[name], dtype
    torch.manual_seed(number)
    inputs = [draw(*s, dtype) for s in spec]
    shape = op.f([t.clone() for t in inputs], args).shape
    w = torch.empty(shape, dtype=dtype).uniform_(-1, 1)
    y, grads = run(op, inputs, spec, args, w)
    wide = [t.double() if s[0] != 'k' else t for t, s in zip(inputs, spec)]
    absolute = run(op, wide, spec, args, w.double(), torch.abs)

    crc = 0
    for t in inputs + [w]:
        crc = zlib.crc32(raw(t), crc)
    print('case', name, 32 if dtype == torch.float32 else 64, number, '%08x' % crc, *args,
          *[f'| {kind} {low} {high} {" ".join(map(str, dims))}' for kind, low, high, dims in spec])
    size = absolute[0] if op.y == 'abs' else op.y(wide, args, w.double()) if op.y else y
    print('y', op.ulps, bits(y), exponents(y, size))
    sizes = op.g(wide, args, w.double()) if callable(op.g) else absolute[1] if op.g == 'abs' else grads
    for i, g in enumerate(grads):
        if g is not None and g.numel() <= 150:
            print('g', i, op.back, bits(g), exponents(g, sizes[i]))


def main():
    number = 1000
    for name, spec, args in cases():
        for dtype in torch.float32, torch.float64:
            write(number, name, spec, args, dtype)
            number += 1
    print(number - 1000, 'cases', file=sys.stderr)


if __name__ == '__main__':
    main()
