"""Writes print.inc: tensors and what PyTorch prints of them. Needs PyTorch (1.13); the tests do not.

    python3 print.py > print.inc

A case is a type, a shape, and either values or a row start, start + step, start + 2 step, ... Each
becomes one line of the table in tests/unit/test_print.c.
"""
import math
import torch

F32, F64, I64 = torch.float32, torch.float64, torch.int64
NAMES = {F32: 'LS_FLOAT32', F64: 'LS_FLOAT64', I64: 'LS_INT64'}
inf, nan = math.inf, math.nan


def operation(name):
    """An operation with a name of its own; PyTorch calls its node <name>Backward."""
    body = {'forward': staticmethod(lambda context, x: x.clone()), 'backward': staticmethod(lambda context, g: g)}
    return type(name, (torch.autograd.Function,), body).apply


def values(name, dtype, shape, *of, default=F32, grad=None):
    return name, dtype, shape, list(of), None, default, grad


def ramp(name, dtype, shape, start, step, default=F32, grad=None):
    return name, dtype, shape, None, (start, step), default, grad


CASES = [
    # without an axis
    values('scalar', F32, (), 18.666666),
    values('scalar_integer', F32, (), 2),
    values('scalar_zero', F32, (), 0),
    values('scalar_minus_zero', F32, (), -0.0),
    values('scalar_small', F32, (), 3.345064396853559e-05),
    values('scalar_large', F32, (), 123456789.0),
    values('scalar_1e8', F32, (), 1e8),
    values('scalar_negative', F32, (), -0.5),
    values('scalar_nan', F32, (), nan),
    values('scalar_inf', F32, (), inf),
    values('scalar_minus_inf', F32, (), -inf),
    values('scalar_int64', I64, (), -7),
    values('scalar_double', F64, (), 0.1),
    values('scalar_double_usual', F64, (), 0.1, default=F64),
    values('scalar_parameter', F32, (), 2, grad='leaf'),
    values('scalar_loss', F32, (), 1.1224, grad='mul'),
    # one axis
    values('one', F32, (1,), 0.25),
    values('zero', F32, (1,), 0, grad='leaf'),
    values('integers', F32, (3,), 1, 2, 3),
    values('integers_wide', F32, (3,), 1, 22, 333),
    values('integers_negative', F32, (3,), -1, 22, -333),
    values('integers_ratio', F32, (2,), 1, 1001),
    values('integers_no_ratio', F32, (2,), 1, 1000),
    values('integers_above_1e8', F32, (2,), 2e8, 1.5e8),
    values('fractions', F32, (3,), 0.5, 1.25, -3.14159265),
    values('rounding', F32, (4,), 0.00005, 0.99995, 1.00005, 2.5),
    values('ratio', F32, (2,), 0.5, 501),
    values('ratio_1000', F32, (2,), 0.5, 500),
    values('small', F32, (2,), 9.9e-5, 1.5e-4),
    values('smallest', F32, (2,), 1.4e-45, 3.4e38),
    values('small_1e4', F64, (2,), 1e-4, 2e-4, default=F64),
    values('large_fraction', F64, (2,), 100000000.5, 5e7, default=F64),
    values('zeros', F32, (4,), 0, 0, 0, 0),
    values('minus_zeros', F32, (3,), -0.0, 0, 1),
    values('zero_and_fraction', F32, (2,), 0, 0.125),
    values('nan_and_integers', F32, (3,), 1, nan, 3),
    values('nan_and_fractions', F32, (3,), 0.5, nan, 30.25),
    values('infinities', F32, (4,), inf, -inf, 1, 2),
    values('infinities_fraction', F32, (3,), inf, -inf, 1.5),
    values('nothing_finite', F32, (3,), nan, inf, -inf),
    values('nan_scientific', F32, (3,), nan, 1e-9, -1),
    values('int64', I64, (4,), 9, -1, 100, 0),
    values('int64_extreme', I64, (2,), -9223372036854775808, 9223372036854775807),
    values('int64_beyond_double', I64, (2,), 9007199254740993, 1),
    values('double_in_float', F64, (2,), 1.5, 2),
    values('float_in_double', F32, (2,), 1.5, 2, default=F64),
    values('double_usual', F64, (3,), 1e-5, 1, 3.0000001, default=F64),
    values('exponent_of_three', F64, (2,), 1e100, 1e-300, default=F64),
    ramp('two_lines', F32, (15,), 0.5, 1),
    ramp('lines_of_integers', F32, (40,), 0, 7),
    ramp('lines_of_int64', I64, (100,), -50, 1),
    ramp('lines_scientific', F32, (20,), 1e-6, 3e3),
    ramp('wide_lines', F64, (8,), 1e-300, 1e299, default=F64),
    ramp('exactly_80', F32, (10,), 1.5, 1),
    ramp('line_end', F32, (9,), 0.5, 1),
    ramp('threshold', I64, (1000,), 7, 0),
    ramp('summary', F32, (1001,), 0, 0.5),
    ramp('summary_int64', I64, (5000,), 0, 1),
    ramp('summary_negative', F32, (2000,), -1, 0.001),
    # more axes
    values('matrix', F32, (2, 3), 0.7, -12, 3, 4, 5.5, 600),
    values('column', F32, (3, 1), 1, 2, 3),
    values('row', F32, (1, 3), 73, 80, 75),
    ramp('wide_matrix', F32, (2, 20), 0.25, 0.5),
    ramp('summary_matrix', F32, (50, 50), 0, 0.1),
    ramp('summary_rows', F32, (600, 2), 0.5, 1),
    ramp('summary_columns', F32, (2, 600), 0.5, 1),
    ramp('short_summary', F32, (6, 200), -100, 0.25),
    ramp('three', F32, (2, 2, 3), 0, 1),
    ramp('three_fractions', F32, (2, 1, 3), 0.1, 0.3),
    ramp('three_summary', F32, (8, 9, 20), 0, 1),
    ramp('three_deep', I64, (2, 300, 7), 0, 1),
    ramp('four', F32, (2, 2, 2, 2), 0, 0.5),
    ramp('four_summary', F32, (7, 1, 7, 40), 0, 0.5),
    ramp('six', F32, (1, 2, 1, 2, 1, 2), 1, 1),
    # without an element
    values('empty', F32, (0,)),
    values('empty_int64', I64, (0,)),
    values('empty_rows', F32, (0, 3)),
    values('empty_columns', F32, (2, 0)),
    values('empty_double', F64, (2, 0, 3)),
    values('empty_double_usual', F64, (0,), default=F64),
    values('empty_parameter', F32, (0,), grad='leaf'),
    # what is said at the end
    values('parameter', F32, (1, 3), 0.9656, 2.0326, 3.0433, grad='leaf'),
    values('result', F32, (2, 1), 0.5, -1.5, grad='mul'),
    ramp('suffix_wraps', F32, (6,), 0.5, 1, grad='mul'),
    ramp('suffix_fits', F32, (6,), 0.5, 1, grad='leaf'),
    ramp('suffix_long_line', F32, (8,), 0.5, 1, grad='mul'),
    ramp('suffix_after_lines', F32, (12,), 0.5, 1, grad='mul'),
    ramp('suffix_two', F64, (2,), 0.5, 1, grad='mul'),
    ramp('suffix_two_wrap', F64, (5,), 0.5, 1, grad='Own'),
    ramp('suffix_matrix', F32, (3, 7), 0.5, 1, grad='mul'),
    ramp('suffix_summary', F32, (40, 40), 0.5, 1, grad='leaf'),
    values('suffix_empty', F64, (0, 3), grad='Own'),
]
# Whether a suffix has room on the last line: every length around the edge.
CASES += [ramp(f'edge_{count}_{length}', F32, (count,), 0.5, 1, grad='M' * length)
          for count, around in ((4, 20), (12, 15)) for length in range(around - 4, around + 5)]


def make(dtype, shape, of, row, default, grad):
    torch.set_default_dtype(default)
    count = math.prod(shape)
    if row:
        of = [row[0] + row[1] * i for i in range(count)]
    t = torch.tensor(of, dtype=dtype).reshape(shape)
    if grad:
        t.requires_grad_()
    if grad == 'mul':
        t = t * torch.ones((), dtype=dtype)
    elif grad and grad != 'leaf':
        t = operation(grad)(t)
    return t


def number(x, dtype):
    if dtype == I64:
        return f'{x}' if x > -2 ** 63 else 'INT64_MIN'
    return 'NAN' if x != x else ('-' if x < 0 else '') + 'INFINITY' if math.isinf(x) else float(x).hex()


def main():
    print('/* Written by print.py: tensors, and what PyTorch prints of them. */')
    for name, dtype, shape, of, row, default, grad in CASES:
        t = make(dtype, shape, of, row, default, grad)
        node = f'"{type(t.grad_fn).__name__}"' if t.grad_fn is not None else 'NULL'
        lines = str(t).split('\n')
        text = '\n'.join(f'      "{line}{nl}"' for line, nl in zip(lines, [r'\n'] * (len(lines) - 1) + ['']))
        kind = 'int64_t' if dtype == I64 else 'double'
        data = f'({kind}[]){{ ' + ', '.join(number(x, dtype) for x in of) + ' }' if of else 'NULL'
        start, step = row or (0, 0)
        dims = f'{{ {len(shape)}, {{ ' + (', '.join(map(str, shape)) or '0') + ' } }'
        print(f'    {{ "{name}", {NAMES[dtype]}, {NAMES[default]}, {dims}, {data},\n'
              f'      {start!r}, {step!r}, {"true" if t.requires_grad else "false"}, {node},\n{text} }},')


if __name__ == '__main__':
    main()
