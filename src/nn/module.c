/* module.c -- the tree of modules: members in order of addition, parameters with PyTorch's names
 * ("fc1.weight"), own ones before those of members' members, as state_dict() orders them.
 *
 * A member belongs to its parent and ends with it. The list of parameters and names is worked out
 * once and dropped, up to the root of the tree, when something is added.
 */
#include "nn/nn.h"
#include <stdio.h>
#include <string.h>

static void forget_list(ls_module *m)
{
    for (; m; m = m->parent) {
        for (int64_t i = 0; m->names && i < m->params.count; i++) ls_memory_free(m->names[i]);
        ls_memory_free(m->names);
        ls_memory_free((void *)(uintptr_t)m->params.at);
        m->names = NULL;
        m->params = (ls_list){ 0 };
    }
}

static void end_module(void *self)
{
    ls_module *m = self;
    m->parent = NULL;
    forget_list(m);
    for (int64_t i = 0; i < m->count; i++) {
        if (m->member[i].module) end_module(m->member[i].module);
        ls_memory_free(m->member[i].name);
    }
    ls_memory_free(m->member);
    ls_memory_free(m->kind);
    ls_memory_free(m);
}

static void free_params(ls_module *m)
{
    for (int64_t i = 0; i < m->count; i++) {
        if (m->member[i].module) free_params(m->member[i].module);
        else ls_tensor_free(m->member[i].param);
    }
}

void ls_module_free(ls_module *m)
{
    if (!m) return;
    if (m->parent) {
        ls_fail(m->ctx, LS_ERR_USE,
                "ls_module_free: a member ends with the module it was added to");
        return;
    }
    free_params(m);
    ls_disown(m->ctx, &m->owned);
    end_module(m);
}

static char *copy_text(ls_ctx *ctx, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = ls_new(ctx, bytes, "a name");
    return copy ? memcpy(copy, text, bytes) : NULL;
}

ls_module *ls_module_new(ls_ctx *ctx, const char *kind, ls_forward_fn *forward, void *self)
{
    if (!ls_enter(ctx, "ls_module_new") || !ls_given(ctx, "ls_module_new", kind, "kind"))
        return NULL;
    ls_module *m = ls_new(ctx, sizeof *m, "a module");
    if (!m) return NULL;
    m->ctx = ctx;
    m->forward = forward;
    m->self = self;
    ls_own(ctx, &m->owned, end_module);
    m->kind = copy_text(ctx, kind);
    return m->kind ? m : NULL;
}

static bool add(ls_module *m, const char *name, ls_module *module, ls_tensor *param)
{
    if (!ls_given(m->ctx, module ? "ls_module_add" : "ls_module_param", name, "name")) return false;
    for (int64_t i = 0; i < m->count; i++)
        if (!strcmp(m->member[i].name, name))
            return ls_fail(m->ctx, LS_ERR_ARG, "%s has a member \"%s\" already", m->kind, name),
                   false;
    if (!*name || strchr(name, '/') || (param && strchr(name, '.')))
        return ls_fail(m->ctx, LS_ERR_ARG,
                       "\"%s\" is no name of a member: it goes into checkpoints, without / "
                       "and .",
                       name),
               false;
    if (m->count == m->room) {
        int64_t room = m->room ? 2 * m->room : 4;
        ls_member *grown = ls_new(m->ctx, (size_t)room * sizeof *grown, "members of a module");
        if (!grown) return false;
        if (m->count) memcpy(grown, m->member, (size_t)m->count * sizeof *grown);
        ls_memory_free(m->member);
        m->member = grown;
        m->room = room;
    }
    char *copy = copy_text(m->ctx, name);
    if (!copy) return false;
    m->member[m->count++] = (ls_member){ copy, module, param };
    forget_list(m);
    return true;
}

ls_module *ls_module_add(ls_module *m, const char *name, ls_module *member)
{
    if (!m || !member || !ls_enter(m->ctx, "ls_module_add")) return NULL;
    if (member->parent || member == m) {
        ls_fail(m->ctx, LS_ERR_USE, "ls_module_add: \"%s\" is a member of another module",
                name ? name : "");
        return NULL;
    }
    if (!add(m, name, member, NULL)) return NULL;
    member->parent = m;
    ls_disown(m->ctx, &member->owned);
    return member;
}

ls_tensor *ls_module_param(ls_module *m, const char *name, ls_tensor *value)
{
    if (!m || !ls_requires_grad(value)) return NULL;
    return add(m, name, NULL, value) ? value : NULL;
}

ls_tensor *ls_forward(ls_module *m, ls_tensor *x)
{
    if (!m || !x) return NULL;
    if (m->forward) return m->forward(m->self ? m->self : m, x);
    ls_fail(m->ctx, LS_ERR_USE, "module %s is missing the required forward function", m->kind);
    return NULL;
}

/* ---- all modules of a tree ------------------------------------------------------------------- */
void ls_module_apply(ls_module *m, ls_apply_fn *f, void *self)
{
    if (!m || !f) return;
    for (int64_t i = 0; i < m->count; i++)
        if (m->member[i].module) ls_module_apply(m->member[i].module, f, self);
    f(self, m);
}

static void set_mode(void *self, ls_module *m)
{
    m->evaluates = *(const bool *)self;
}

void ls_module_train(ls_module *m)
{
    bool evaluates = false;
    ls_module_apply(m, set_mode, &evaluates);
}

void ls_module_eval(ls_module *m)
{
    bool evaluates = true;
    ls_module_apply(m, set_mode, &evaluates);
}

bool ls_module_is_training(const ls_module *m)
{
    return m && !m->evaluates;
}

static void reset(void *self, ls_module *m)
{
    (void)self;
    if (m->reset) m->reset(m);
}

void ls_module_reset(ls_module *m)
{
    if (m && ls_enter(m->ctx, "ls_module_reset")) ls_module_apply(m, reset, NULL);
}

void ls_module_on_reset(ls_module *m, void (*f)(ls_module *m))
{
    if (m) m->reset = f;
}

const char *ls_module_kind(const ls_module *m)
{
    return m ? m->kind : "";
}

void *ls_module_self(const ls_module *m)
{
    return m ? m->self : NULL;
}

ls_module *ls_module_member(const ls_module *m, const char *name)
{
    if (!m || !ls_given(m->ctx, "ls_module_member", name, "name")) return NULL;
    for (int64_t i = 0; i < m->count; i++)
        if (m->member[i].module && !strcmp(m->member[i].name, name)) return m->member[i].module;
    ls_fail(m->ctx, LS_ERR_ARG, "%s has no member \"%s\"", m->kind, name);
    return NULL;
}

/* ---- parameters ------------------------------------------------------------------------------ */
static int64_t count_params(const ls_module *m)
{
    int64_t count = 0;
    for (int64_t i = 0; i < m->count; i++)
        count += m->member[i].module ? count_params(m->member[i].module) : 1;
    return count;
}

static char *joined(ls_ctx *ctx, const char *prefix, const char *name)
{
    size_t bytes = strlen(prefix) + strlen(name) + 2;
    char *text = ls_new(ctx, bytes, "a parameter's name");
    if (text) snprintf(text, bytes, "%s%s%s", prefix, *prefix ? "." : "", name);
    return text;
}

/* Own parameters first, then those of the members, as PyTorch's state_dict(). */
static bool list_params(const ls_module *m, const char *prefix, ls_tensor **at, char **names,
                        int64_t *used)
{
    for (int64_t i = 0; i < m->count; i++) {
        if (m->member[i].module) continue;
        at[*used] = m->member[i].param;
        if (!(names[(*used)++] = joined(m->ctx, prefix, m->member[i].name))) return false;
    }
    for (int64_t i = 0; i < m->count; i++) {
        if (!m->member[i].module) continue;
        char *inner = joined(m->ctx, prefix, m->member[i].name);
        bool fine = inner && list_params(m->member[i].module, inner, at, names, used);
        ls_memory_free(inner);
        if (!fine) return false;
    }
    return true;
}

ls_list ls_parameters(const ls_module *cm)
{
    ls_module *m = (ls_module *)(uintptr_t)cm; /* the list is a cache */
    if (!m || m->ctx->failure.status) return (ls_list){ 0 };
    if (m->params.at) return m->params;
    int64_t count = count_params(m), used = 0;
    size_t room = (size_t)(count ? count : 1);
    ls_tensor **at = ls_new(m->ctx, room * sizeof *at, "the list of parameters");
    m->names = ls_new(m->ctx, room * sizeof *m->names, "the list of parameters");
    m->params = (ls_list){ count, at };
    if (!at || !m->names || !list_params(m, "", at, m->names, &used)) return (ls_list){ 0 };
    return m->params;
}

const char *ls_parameter_name(const ls_module *m, int64_t i)
{
    ls_list p = ls_parameters(m);
    return i >= 0 && i < p.count ? m->names[i] : NULL;
}

ls_tensor *ls_parameter(const ls_module *m, const char *name)
{
    if (!m || !ls_given(m->ctx, "ls_parameter", name, "name")) return NULL;
    ls_list p = ls_parameters(m);
    for (int64_t i = 0; i < p.count; i++)
        if (!strcmp(m->names[i], name)) return p.at[i];
    ls_fail(m->ctx, LS_ERR_ARG, "%s has no parameter \"%s\"; its first is \"%s\"", m->kind, name,
            p.count ? m->names[0] : "");
    return NULL;
}

/* ---- printing, as PyTorch does --------------------------------------------------------------- */
static void print_module(const ls_module *m, int indent)
{
    bool has_members = false;
    ls_printf(m->ctx, "%s(", m->kind);
    for (int64_t i = 0; i < m->count; i++) {
        if (!m->member[i].module) continue;
        ls_printf(m->ctx, "\n%*s(%s): ", indent + 2, "", m->member[i].name);
        print_module(m->member[i].module, indent + 2);
        has_members = true;
    }
    if (has_members) ls_printf(m->ctx, "\n%*s)", indent, "");
    else ls_printf(m->ctx, "%s)", m->detail);
}

void ls_module_print(const ls_module *m)
{
    if (!m) return;
    print_module(m, 0);
    ls_printf(m->ctx, "\n");
}
