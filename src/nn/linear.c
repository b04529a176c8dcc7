/* linear.c -- a linear layer with PyTorch's initial values: weight, then bias, uniform in
 * (-1/sqrt(in), 1/sqrt(in)), drawn from the context's stream; the bound of the weight is worked out
 * in double as kaiming_uniform(a = sqrt 5) does.
 */
#include "nn/nn.h"
#include <math.h>
#include <stdio.h>

static ls_tensor *forward(void *self, ls_tensor *x)
{
    ls_module *m = self;
    return ls_linear(x, m->member[0].param, m->count > 1 ? m->member[1].param : NULL);
}

static void reset(ls_module *m)
{
    double a = sqrt(5.0), gain = sqrt(2.0 / (1 + a * a)), fan_in = sqrt((double)m->in);
    double weight = sqrt(3.0) * (gain / fan_in), bias = 1 / fan_in;
    LS_NO_GRAD(m->ctx);
    ls_uniform_(m->member[0].param, -weight, weight);
    if (m->count > 1) ls_uniform_(m->member[1].param, -bias, bias);
}

ls_module *ls_linear_make(ls_ctx *ctx, int64_t in, int64_t out, bool bias)
{
    if (!ctx || ctx->failure.status) return NULL;
    if (in < 1 || out < 1) {
        ls_fail(ctx, LS_ERR_ARG,
                "a linear layer of %lld inputs and %lld outputs: both must be above 0",
                (long long)in, (long long)out);
        return NULL;
    }
    ls_module *m = ls_module_new(ctx, "Linear", forward, NULL);
    if (!m) return NULL;
    m->in = in;
    m->out = out;
    snprintf(m->detail, sizeof m->detail, "in_features=%lld, out_features=%lld, bias=%s",
             (long long)in, (long long)out, bias ? "True" : "False");
    ls_module_param(m, "weight", ls_zeros(ctx, LS_SHAPE(out, in)));
    if (bias) ls_module_param(m, "bias", ls_zeros(ctx, LS_SHAPE(out)));
    m->reset = reset;
    if (!ctx->failure.status) reset(m);
    return ctx->failure.status ? NULL : m;
}

ls_module *ls_linear_new(ls_ctx *ctx, int64_t in, int64_t out)
{
    return ls_linear_make(ctx, in, out, true);
}

ls_module *ls_linear_no_bias_new(ls_ctx *ctx, int64_t in, int64_t out)
{
    return ls_linear_make(ctx, in, out, false);
}
