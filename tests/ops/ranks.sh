#!/bin/sh
# ranks.sh DIGEST -- what DIGEST prints on 1, 2, 3 and 5 ranks, in both types, must be the same.
if ! command -v mpirun > /dev/null; then
    echo "there is no mpirun here"
    exit 77
fi
for type in 32 64; do
    one=$("$1" $type) || exit 1
    for ranks in 2 3 5; do
        many=$(mpirun -np $ranks "$1" $type) || exit 1
        if [ -z "$one" ] || [ "$one" != "$many" ]; then
            echo "float$type: $one on one rank, $many on $ranks"
            exit 1
        fi
    done
done
