#!/bin/bash
# two_hosts.sh -- one result within a node and between nodes: the same training on one rank and on ranks of
# two hosts, which are network namespaces of this machine with a bridge between them. TAP on stdout.
#
#   two_hosts.sh LOCKSTEP DATA_MAKER
set -u
lockstep=$(realpath "$1") maker=$(realpath "$2")
skip() { echo "1..0 # SKIP $1"; exit 0; }
[ "$(id -u)" = 0 ] || skip "two hosts need root, to make network namespaces"
command -v ip > /dev/null || skip "two hosts need iproute2"

tag=ls$$
work=$(mktemp -d /tmp/lockstep-hosts-XXXXXX)
bridge=b$tag
clean() {
    for i in 1 2; do ip netns del "$tag-$i"; done
    ip link del "$bridge"
    rm -rf "$work"
} 2> /dev/null
trap clean EXIT
{
    ip link add "$bridge" type bridge && ip addr add 10.77.0.254/24 dev "$bridge" && ip link set "$bridge" up
    for i in 1 2; do
        ip netns add "$tag-$i" && ip link add "v$tag$i" type veth peer name "p$tag$i" &&
            ip link set "v$tag$i" master "$bridge" up && ip link set "p$tag$i" netns "$tag-$i" &&
            ip netns exec "$tag-$i" ip link set "p$tag$i" name eth0 &&
            ip netns exec "$tag-$i" ip addr add "10.77.0.$i/24" dev eth0 &&
            ip netns exec "$tag-$i" ip link set eth0 up && ip netns exec "$tag-$i" ip link set lo up
    done
} 2> "$work/setup" || skip "network namespaces are not allowed here: $(head -1 "$work/setup")"
ip netns exec "$tag-2" true 2> /dev/null || skip "network namespaces are not allowed here"

# What mpirun calls in place of ssh: the command in the namespace of that host, with its own shared memory.
cat > "$work/agent" << END
#!/bin/bash
while [[ "\$1" == -* ]]; do shift; done
host=\${1##*.}; shift
exec ip netns exec $tag-\$host unshare --uts --mount bash -c "hostname host\$host; mount -t tmpfs tmpfs /dev/shm
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TMPDIR=$work/host\$host
  mkdir -p $work/host\$host; cd $work; \$*"
END
chmod +x "$work/agent"
cd "$work" || exit 1
"$maker" classes images.h5 2000 784 || exit 1
cat > job.yaml << END
seed: 1
data: {train: images.h5, x_scale: 255, batch_size: 1000}
model: [linear: 512, relu, linear: 520, relu, linear: 10]
loss: cross_entropy
optimizer: {sgd: {lr: 0.1, momentum: 0.9}}
train: {epochs: 2}
END
unset OMPI_MCA_btl
# The sanitizers' leak checker falls over the threads of Open MPI's TCP.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
digest() { sha256sum < "$(ls "$1"/*.h5 | tail -n 1)"; }
"$lockstep" train job.yaml --quiet --checkpoint.dir=one || exit 1
echo "1..6"
number=0
# By node, every rank is a machine for itself; by slot, each host has half of the ranks, which meet in its memory.
for way in "2 node" "3 node" "4 node" "4 slot" "6 slot" "8 slot"; do
    number=$((number + 1)) np=${way% *} map=${way#* }
    printf '10.77.0.1 slots=%d\n10.77.0.2 slots=%d\n' $((np / 2 + np % 2)) $((np / 2)) > hosts
    mpirun --mca plm_rsh_agent "$work/agent" --hostfile hosts --map-by $map --mca pml ob1 \
        --mca btl self,vader,tcp --mca oob_tcp_if_include "$bridge,eth0" --mca btl_tcp_if_include eth0 \
        --mca mpi_yield_when_idle 1 --bind-to none -np $np "$lockstep" train "$work/job.yaml" --quiet \
        --checkpoint.dir="$work/hosts-$number" > "$work/out" 2>&1 < /dev/null
    if [ "$(digest one)" = "$(digest "hosts-$number")" ]; then echo "ok $number - $np ranks on two hosts, by $map"
    else sed 's/^/# /' "$work/out"; echo "not ok $number - $np ranks on two hosts, by $map"; fi
done
