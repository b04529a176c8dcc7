/* digest.c -- the values and gradients of everything in made.h over parts, in both types, as one
 * SHA-256 on standard output: the same for any number of ranks. ranks.sh compares.
 */
#include "made.h"
#include <stdio.h>

static void add(ls_sha256 *sum, const ls_tensor *t)
{
    ls_sha256_add(sum, t->data, (size_t)t->count * ls_dtype_bytes(t->dtype));
}

static int digest(ls_dtype type)
{
    made m;
    ls_tensor *in[3];
    uint8_t bytes[32];
    char text[65];
    ls_sha256 sum;
    ls_sha256_begin(&sum);
    made_begin(&m, type, in);
    m.split = true;
    for (int i = 0; i < MADE_COUNT && ls_step_begin(m.ctx); i++) {
        m.f = table[i].f;
        ls_zero_grad((ls_list){ 3, in });
        ls_tensor *t = made_apply(&m, (ls_list){ 3, in }), *all = ls_whole(m.ctx, t);
        if (all) add(&sum, all);
        ls_backward(m.ctx, ls_sum(t));
        for (int k = 0; k < 3; k++)
            if (!ls_error(m.ctx) && ls_grad(in[k])) add(&sum, ls_grad(in[k]));
    }
    ls_sha256_end(&sum, bytes);
    ls_hex(bytes, sizeof bytes, text);
    ls_printf(m.ctx, "%s\n", text);
    return ls_finish(m.ctx);
}

/* MPI starts once a process, so the type is an argument. */
int main(int count, char **arguments)
{
    return digest(count > 1 && arguments[1][0] == '6' ? LS_FLOAT64 : LS_FLOAT32);
}
