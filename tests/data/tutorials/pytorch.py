"""Writes pytorch.txt: what PyTorch itself computes in the tutorials. Needs PyTorch (1.13, with OpenBLAS on a
machine with AVX2); the tests do not.

    python3 pytorch.py > pytorch.txt

A line a run: its name, and either the SHA-256 of all its numbers, written as in NAME.csv, where PyTorch
rounds as the tutorials' numbers are rounded; or, where it fuses the products of the forward pass, so that
last digits differ, the cost of each step.
"""
import hashlib
import torch

torch.set_num_threads(1)
SCORES = torch.tensor([[73., 80, 75], [93, 88, 93], [89, 91, 90], [96, 98, 100], [73, 66, 70]])
TARGETS = torch.tensor([[152.], [185], [180], [196], [142]])
COLUMN = torch.tensor([[1.], [2], [3]])


def number(value):
    return f'{float(value):.9g}'


def step(optimizer, params, cost, key, rows):
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
    rows.append([*key, number(cost)] + [number(v) for p in params for v in p.detach().flatten()])


def zeros(*shapes):
    return [torch.zeros(s, requires_grad=True) for s in shapes]


def simple():
    w, b = params = zeros(1, 1)
    optimizer, rows = torch.optim.SGD(params, lr=0.01), [['epoch', 'cost', 'W', 'b']]
    for epoch in range(2000):
        step(optimizer, params, torch.mean((COLUMN * w + b - 2 * COLUMN) ** 2), [str(epoch)], rows)
    return rows


def multiple():
    params = zeros(1, 1, 1, 1)
    w1, w2, w3, b = params
    x1, x2, x3 = (SCORES[:, i:i + 1].clone() for i in range(3))
    optimizer, rows = torch.optim.SGD(params, lr=1e-5), [['epoch', 'cost', 'w1', 'w2', 'w3', 'b']]
    for epoch in range(1001):
        h = x1 * w1 + x2 * w2 + x3 * w3 + b
        step(optimizer, params, torch.mean((h - TARGETS) ** 2), [str(epoch)], rows)
    return rows


def matmul():
    x = SCORES.clone()
    x[2, 2] = 80
    w, b = params = zeros((3, 1), 1)
    optimizer, rows = torch.optim.SGD(params, lr=1e-5), [['epoch', 'cost', 'W0', 'W1', 'W2', 'b']]
    for epoch in range(21):
        step(optimizer, params, torch.mean((x.matmul(w) + b - TARGETS) ** 2), [str(epoch)], rows)
    return rows


def linear(x, y, lr, names):
    torch.manual_seed(1)
    model = torch.nn.Linear(x.shape[1], 1)
    params = list(model.parameters())
    optimizer, rows = torch.optim.SGD(params, lr=lr), [['epoch', 'cost', *names, 'b']]
    for epoch in range(2001):
        step(optimizer, params, torch.nn.functional.mse_loss(model(x), y), [str(epoch)], rows)
    return rows


def batches(words, epochs):
    torch.manual_seed(1)
    torch.rand(words)
    model = torch.nn.Linear(3, 1)
    params = list(model.parameters())
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(SCORES, TARGETS), batch_size=2, shuffle=True)
    optimizer, rows = torch.optim.SGD(params, lr=1e-5), [['epoch', 'batch', 'cost', 'W0', 'W1', 'W2', 'b']]
    for epoch in range(epochs):
        for i, (x, y) in enumerate(loader):
            step(optimizer, params, torch.nn.functional.mse_loss(model(x), y), [str(epoch), str(i + 1)], rows)
    return rows


def equal(name, rows):
    text = ''.join(','.join(row) + '\n' for row in rows)
    print(name, hashlib.sha256(text.encode()).hexdigest())


def close(name, rows):
    at = rows[0].index('cost')
    print(name, ' '.join(row[at] for row in rows[1:]))


W3 = ('W0', 'W1', 'W2')
equal('simple', simple())
equal('multiple', multiple())
equal('linear_1_1', linear(COLUMN, 2 * COLUMN, 0.01, ('W',)))
equal('linear_1_1_class', linear(COLUMN, torch.tensor([[2.], [4], [7]]), 0.01, ('W',)))
close('matmul', matmul())
close('linear_3_1', linear(SCORES, TARGETS, 1e-5, W3))
close('minibatch', batches(4508, 51))
close('custom_dataset', batches(4716, 21))
