#!/usr/bin/env python3
"""PyTorch on the jobs that tools/bench gives to lockstep: one process a rank, DistributedDataParallel over
gloo where there are several, every rank's share of the rows in memory before the clock starts.

  bench_torch.py train STEM --rows N --layers 784,512,10 --act relu --loss ce --batch 256 --epochs 3
                 [--scale 255] [--lr 0.1] [--momentum 0.9] [--ranks 2] [--cores 0,1]
  bench_torch.py allreduce SIZE... [--ranks 2] [--cores 0,1]
  bench_torch.py product

STEM.x and STEM.y hold the rows as plain numbers: bytes and int64 labels for ce, float32 for mse. The batch
is that of all ranks together. Rank 0 prints JSON: train one line, allreduce one a size; product the seconds
of a matrix product, by which tools/bench finds the setting of OPENBLAS_CORETYPE that suits the CPU.
"""
import argparse
import json
import os
import socket
import statistics
import sys
import time

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
os.environ.setdefault('MKL_NUM_THREADS', '1')
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as processes  # noqa: E402


def used_mib():
    """What it has in common with other processes is counted in parts."""
    with open('/proc/self/smaps_rollup') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('Pss:')) / 1024


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def model_of(layers, act):
    sizes = [int(n) for n in layers.split(',')]
    modules = []
    for i in range(len(sizes) - 1):
        modules.append(torch.nn.Linear(sizes[i], sizes[i + 1]))
        if i + 2 < len(sizes):
            modules.append(torch.nn.Tanh() if act == 'tanh' else torch.nn.ReLU())
    return torch.nn.Sequential(*modules)


def share(path, kind, rows, width, rank, ranks):
    """A rank's rows of a file, in memory."""
    whole = torch.from_file(path, shared=False, size=rows * width, dtype=kind).view(rows, width)
    return whole[rank * rows // ranks:(rank + 1) * rows // ranks].clone()


def train(rank, o):
    begin = time.perf_counter()
    start_mib = used_mib()
    torch.manual_seed(1)
    model = model_of(o.layers, o.act)
    net = torch.nn.parallel.DistributedDataParallel(model) if o.ranks > 1 else model
    optimizer = torch.optim.SGD(net.parameters(), lr=o.lr, momentum=o.momentum)
    classes = o.loss == 'ce'
    cost_of = torch.nn.CrossEntropyLoss() if classes else torch.nn.MSELoss()
    features = int(o.layers.split(',')[0])
    x = share(o.words[0] + '.x', torch.uint8 if classes else torch.float32, o.rows, features, rank, o.ranks)
    y = share(o.words[0] + '.y', torch.int64 if classes else torch.float32, o.rows, 1, rank, o.ranks)
    y = y.view(-1) if classes else y
    local = max(o.batch // o.ranks, 1)
    seconds, steps, first_s, cost = [], 0, None, None
    for _ in range(o.epochs):
        if o.ranks > 1:
            dist.barrier()
        epoch = time.perf_counter()
        for index in torch.randperm(len(x)).split(local):
            bx, by = x[index], y[index]
            if classes:
                bx = bx.float() / o.scale
            optimizer.zero_grad(set_to_none=True)
            cost = cost_of(net(bx), by)
            cost.backward()
            optimizer.step()
            steps += 1
            if first_s is None:
                first_s = time.perf_counter() - begin
        if o.ranks > 1:
            dist.barrier()
        seconds.append(time.perf_counter() - epoch)
    if rank == 0:
        typical = statistics.median(seconds[1:] or seconds)
        print(json.dumps({'torch': torch.__version__, 'rows_per_s': o.rows / typical,
                          'step_us': 1e6 * sum(seconds[1:] or seconds) / max(steps - steps // o.epochs, 1),
                          'cost': float(cost), 'first_step_s': first_s, 'start_mib': start_mib,
                          'peak_mib': used_mib()}), flush=True)


def allreduce(rank, o):
    for word in o.words:
        size = int(word)
        a = torch.zeros(max(size // 4, 1))
        dist.all_reduce(a)
        calls = max(3, min(300, (8 << 20) // max(size, 1)))
        times = []
        for _ in range(11):
            dist.barrier()
            begin = time.perf_counter()
            for _ in range(calls):
                dist.all_reduce(a)
            times.append((time.perf_counter() - begin) / calls)
        last = torch.tensor([statistics.median(times)], dtype=torch.float64)
        dist.all_reduce(last, op=dist.ReduceOp.MAX)
        if rank == 0:
            print(json.dumps({'bytes': size, 'gloo_us': 1e6 * float(last)}), flush=True)


def product():
    a, b = torch.ones(256, 784), torch.ones(784, 512)
    times = []
    for _ in range(30):
        begin = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - begin)
    print(json.dumps({'seconds': statistics.median(times), 'torch': torch.__version__}))


def run(rank, o):
    torch.set_num_threads(1)
    if o.cores:
        cores = [int(c) for c in o.cores.split(',')]
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    if o.ranks > 1:
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(o.port))
        dist.init_process_group('gloo', rank=rank, world_size=o.ranks)
    {'train': train, 'allreduce': allreduce}[o.job](rank, o)
    if o.ranks > 1:
        dist.destroy_process_group()


def main():
    p = argparse.ArgumentParser()
    p.add_argument('job', choices=['train', 'allreduce', 'product'])
    p.add_argument('words', nargs='*')
    p.add_argument('--rows', type=int)
    p.add_argument('--layers', default='784,512,512,10')
    p.add_argument('--act', default='relu')
    p.add_argument('--loss', default='ce')
    p.add_argument('--batch', type=int, default=256)
    p.add_argument('--epochs', type=int, default=3)
    p.add_argument('--scale', type=float, default=255)
    p.add_argument('--lr', type=float, default=0.1)
    p.add_argument('--momentum', type=float, default=0.9)
    p.add_argument('--ranks', type=int, default=1)
    p.add_argument('--cores', default='')
    o = p.parse_args()
    o.port = free_port()
    if o.job == 'product':
        return product()
    if o.ranks == 1:
        run(0, o)
    else:
        processes.spawn(run, (o,), nprocs=o.ranks)


if __name__ == '__main__':
    sys.exit(main())
