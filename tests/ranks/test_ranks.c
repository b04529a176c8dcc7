/* test_ranks.c -- one result for any number of ranks: the same job on 1 to 8 of them, and the bytes of
 * what comes out compared. Jobs are run through the command, the way people run them, and through small
 * programs on the library.
 */
#include "jobs.h"
#include <math.h>

TestSuite(ranks, .init = enter_directory, .fini = leave_directory);

static const char scores_csv[] =
    "a,b,c,y\n73,80,75,152\n93,88,93,185\n89,91,90,180\n96,98,100,196\n73,66,70,142\n";
static const char scores_yaml[] =
    "seed: 1\ndata: {train: scores.h5, batch_size: 2}\nmodel: [linear: 1]\nloss: mse\n"
    "optimizer: {sgd: {lr: 1e-5}}\ntrain: {epochs: 20}\n";

static void make_scores(void)
{
    write_file("scores.csv", scores_csv);
    write_file("scores.yaml", scores_yaml);
    must_run(run(tool("LS_TEST_LOCKSTEP"), "convert", "scores.csv", "scores.h5", NULL));
}

Test(ranks, five_rows, .timeout = 300)
{
    make_scores();
    same_on_all_ranks("scores.yaml", NULL);
    same_on_all_ranks("scores.yaml", "--train.leaf_rows=1");
    same_on_all_ranks("scores.yaml", "--train.leaf_rows=3");
    same_on_all_ranks("scores.yaml", "--train.leaf_rows=4");
}

static void make_regression(const char *rows, const char *layers)
{
    char config[512];
    must_run(run(tool("LS_TEST_MAKE_DATA"), "regression", "regression.h5", rows, "9", NULL));
    snprintf(config, sizeof config,
             "seed: 3\ndtype: float64\ndata: {train: regression.h5, batch_size: 64}\n"
             "model: [%s]\nloss: mse\n"
             "optimizer: {sgd: {lr: 0.01, momentum: 0.9, weight_decay: 1e-4, nesterov: true}}\n"
             "train: {epochs: 3}\n",
             layers);
    write_file("regression.yaml", config);
}

static const char narrow[] = "linear: 16, tanh, linear: 1";

Test(ranks, short_last_batch, .timeout = 300)
{
    make_regression("1003", narrow);
    same_on_all_ranks("regression.yaml", NULL);
    same_on_all_ranks("regression.yaml", "--data.normalize=standard");
    same_on_all_ranks("regression.yaml", "--data.drop_last=true");
}

Test(ranks, more_ranks_than_rows, .timeout = 300)
{
    make_regression("3", narrow);
    same_on_all_ranks("regression.yaml", NULL);
    same_on_all_ranks("regression.yaml", "--train.leaf_rows=1");
}

/* So wide that the ranks of a node hold it in common, and that one rank makes a gradient from its factors; and
 * the same by messages alone. */
Test(ranks, wide, .timeout = 300)
{
    make_regression("300", "linear: 750, tanh, linear: 700, relu, linear: 1");
    same_on_all_ranks("regression.yaml", NULL);
    same_on_all_ranks("regression.yaml", "--train.leaf_rows=5");
    setenv("LS_NODE_MEMORY", "0", 1);
    same_on_all_ranks("regression.yaml", NULL);
    unsetenv("LS_NODE_MEMORY");
}

/* The bytes of all parameters. */
static void digest_of_model(const char *layers, char digest[65])
{
    char command[256];
    snprintf(
        command, sizeof command,
        "for d in %s; do for p in weight bias; do h5dump -d model/$d.$p -b LE -o one runs/*.h5; "
        "cat one >>all; done; done",
        layers);
    must_run(run("sh", "-c", command, NULL));
    digest_of("all", digest);
    must_run(run("rm", "-r", "all", "runs", NULL));
}

/* The same parameters from every instruction set, and from every compiler and machine: those stored. */
Test(ranks, any_instruction_set, .timeout = 300)
{
    static const char *const sets[] = { "avx512", "avx2", "generic" };
    static const char *const types[][2] = {
        { "--dtype=float32", "e76f2dd8f7def7c090d2678d956270ada0ed4bf23b4043c447576649f5f58e13" },
        { "--dtype=float64", "6957a938f1b56ca5741244c1fc2936771327427bf62ce5adce3a50a3ad19689a" },
    };
    int ran = 0;
    make_regression("300", "linear: 100, gelu, linear: 60, tanh, linear: 20, sigmoid, linear: 1");
    for (int i = 0; i < 12; i++) {
        char digest[65];
        const char *set = sets[i / 4], *const *type = types[i / 2 % 2];
        setenv("LS_ISA", set, 1);
        spawned *s = train(i % 2 ? 3 : 1, "regression.yaml", "runs", type[0]);
        if (s->code == 78 && strstr(s->err, "LS_ISA")) { /* not on this CPU */
            spawned_free(s);
            continue;
        }
        must_run(s);
        digest_of_model("0 2 4 6", digest);
        cr_assert(strcmp(digest, type[1]) == 0, "%s, %s: %s", set, type[0], digest);
        ran++;
    }
    unsetenv("LS_ISA");
    cr_assert(ran >= 4); /* generic at least */
}

/* OpenBLAS makes the products: one result all the same, which canonical kernels do not go on from. */
Test(ranks, openblas, .timeout = 300)
{
    static const char *const flags[] = { "--kernel=openblas", "--kernel=canonical" };
    make_regression("300", "linear: 40, tanh, linear: 1");
    same_on_ranks(4, "regression.yaml", flags[0]);
    for (int first = 0; first < 2; first++) {
        must_run(train(1, "regression.yaml", "runs", flags[first]));
        spawned *s = train(2, "regression.yaml", "runs", flags[!first]);
        cr_assert(eq(int, s->code, 78), "%s", s->err);
        cr_assert(eq(int, count_of("lockstep: ", s->err), 1), "%s", s->err);
        cr_assert(strstr(s->err, "\"openblas/") != NULL && strstr(s->err, "\"1\"") != NULL, "%s",
                  s->err);
        spawned_free(s);
        must_run(run("rm", "-rf", "runs", NULL));
    }
}

/* ---- copies of a file ------------------------------------------------------------------------ */
/* rows of ten numbers, the last times a factor. */
static void make_copy(const char *path, int rows, double times)
{
    FILE *out = fopen("copy.csv", "w");
    for (int i = 0; out && i < rows; i++) {
        for (int k = 0; k < 9; k++) fprintf(out, "%d,", (i * 7 + k * 3) % 11);
        fprintf(out, "%g\n", (i % 5 + 1) * (i == rows - 1 ? times : 1));
    }
    cr_assert(out && !fclose(out));
    must_run(run(tool("LS_TEST_LOCKSTEP"), "convert", "--force", "copy.csv", path, NULL));
}

/* Ranks of two directories, which find a file of their own under one name: 3 rows, and so many that a node
 * holds them once. */
Test(ranks, copies_out_of_step_are_named, .timeout = 120)
{
    static const int rows[] = { 3, 2000 };
    char whole[65], apart[65];
    must_run(run("mkdir", "a", "b", NULL));
    write_file("job.yaml", "seed: 1\ndata: {train: d.h5, validation: d.h5, batch_size: 500}\n"
                           "model: [linear: 1]\nloss: mse\noptimizer: {sgd: {lr: 1e-3}}\n"
                           "train: {epochs: 2}\ncheckpoint: {dir: ../apart}\n");
    for (int i = 0; i < 4; i++) {
        const bool differs = i % 2;
        make_copy("a/d.h5", rows[i / 2], 1);
        make_copy("b/d.h5", rows[i / 2], differs ? 2 : 1);
        spawned *s = run("mpirun", "-np", "2", "-wdir", "a", tool("LS_TEST_LOCKSTEP"), "train",
                         "../job.yaml", "--quiet", ":", "-np", "1", "-wdir", "b",
                         tool("LS_TEST_LOCKSTEP"), "train", "../job.yaml", "--quiet", NULL);
        cr_assert(eq(int, s->code, differs ? 65 : 0), "%s", s->err);
        if (differs)
            cr_assert(strstr(s->err,
                             "lockstep: rank 2 of 3: d.h5 differs from the file that rank 0 "
                             "reads: it has as many rows, but other values; ") &&
                          count_of("lockstep: ", s->err) == 1,
                      "%s", s->err);
        spawned_free(s);
        if (differs) continue;
        newest_digest("apart", apart);
        must_run(run(
            "sh", "-c",
            "cd a && $LS_TEST_LOCKSTEP train ../job.yaml --quiet --checkpoint.dir=../whole", NULL));
        newest_digest("whole", whole);
        cr_assert(strcmp(whole, apart) == 0);
        must_run(run("rm", "-r", "whole", "apart", NULL));
    }
}

/* ---- the timeline ---------------------------------------------------------------------------- */
Test(ranks, a_timeline_of_all_ranks)
{
    make_regression("200", narrow); /* 3 epochs of 4 steps */
    for (int np = 1; np <= 3; np += 2) {
        must_run(train(np, "regression.yaml", "traced", "--trace=trace.json"));
        spawned *s = run("cat", "trace.json", NULL);
        cr_assert(eq(int, count_of("\"name\":\"forward\"", s->out), 12 * np), "%s", s->out);
        cr_assert(eq(int, count_of("\"name\":\"save\"", s->out), 3 * np), "%s", s->out);
        cr_assert(eq(int, count_of("\"pid\":2", s->out) > 0, np == 3), "%s", s->out);
        spawned_free(s);
        must_run(run("python3", "-m", "json.tool", "trace.json", "/dev/null", NULL));
        must_run(run("rm", "-rf", "traced", NULL));
    }
    spawned *s = mpi_run(2, tool("LS_TEST_LOCKSTEP"), "train", "regression.yaml",
                         "--trace=nowhere/trace.json", NULL);
    cr_assert(eq(int, s->code, 73), "%s", s->err);
    spawned_free(s);
}

/* ---- stopped after any step, and resumed on another number of ranks -------------------------- */
Test(ranks, stopped_and_resumed, .timeout = 600)
{
    char whole[65], pieces[65], stop[32];
    make_scores();
    must_run(train(1, "scores.yaml", "whole", "--train.epochs=4"));
    newest_digest("whole", whole);
    for (int at = 1; at < 12; at += is_short() ? 4 : 1) { /* 3 steps an epoch */
        snprintf(stop, sizeof stop, "--stop-after=%d", at);
        spawned *s = mpi_run(1 + at % 4, tool("LS_TEST_LOCKSTEP"), "train", "scores.yaml",
                             "--checkpoint.dir=pieces", "--train.epochs=4", stop, NULL);
        cr_assert(eq(int, s->code, 75), "%s", s->err);
        cr_assert(strstr(s->err, "lockstep: stopped after step") != NULL, "%s", s->err);
        spawned_free(s);
        must_run(train(1 + (at + 1) % 4, "scores.yaml", "pieces", "--train.epochs=4"));
        newest_digest("pieces", pieces);
        cr_assert(strcmp(whole, pieces) == 0, "other bytes when stopped after step %d", at);
        must_run(run("rm", "-rf", "pieces", NULL));
    }
}

Test(ranks, stopped_at_every_step, .timeout = 300)
{
    char whole[65], pieces[65];
    make_regression("200", narrow); /* 4 steps an epoch */
    must_run(train(1, "regression.yaml", "whole", NULL));
    newest_digest("whole", whole);
    for (int runs = 1; runs <= 12; runs++) {
        spawned *s = mpi_run(1 + runs % 3, tool("LS_TEST_LOCKSTEP"), "train", "regression.yaml",
                             "--checkpoint.dir=pieces", "--stop-after=1", NULL);
        cr_assert(eq(int, s->code, runs < 12 ? 75 : 0), "run %d: %s", runs, s->err);
        spawned_free(s);
    }
    newest_digest("pieces", pieces);
    cr_assert(eq(str, whole, pieces));
}

/* ---- the tutorials, digit for digit ---------------------------------------------------------- */
static char *read_text(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", tool("LS_TEST_TUTORIALS_DATA"), name);
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    cr_assert(f && text && fread(text, 1, (1 << 20) - 1, f) > 0, "%s", path);
    fclose(f);
    return text;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? end + 1 : "";
}

static const char *const tutorials[] = { "simple",     "multiple",         "matmul",
                                         "linear_1_1", "linear_1_1_class", "linear_3_1",
                                         "minibatch",  "custom_dataset" };
static const int tutorial_ranks[] = { 1, 2, 3, 5 };

/* The costs of all steps within 1e-3. */
static void compare_costs(const char *name, const char *csv, const char *costs)
{
    int columns_before = strncmp(csv, "epoch,batch,", 12) ? 1 : 2, steps = 0;
    for (csv = next_line(csv); *csv; csv = next_line(csv), steps++) {
        const char *cost = csv;
        char *end;
        for (int i = 0; i < columns_before; i++) cost = strchr(cost, ',') + 1;
        double torch = strtod(costs, &end), off = fabs(atof(cost) / torch - 1);
        cr_assert(costs[0] == ' ' && end > costs, "%s: PyTorch has %d costs", name, steps);
        cr_assert(off <= 1e-3, "%s, step %d: %g, and %g in PyTorch", name, steps, atof(cost),
                  torch);
        costs = end;
    }
    cr_assert(costs[0] == '\n', "%s: PyTorch has more than %d costs", name, steps);
}

/* With PyTorch's own run: the same bits, or, where it rounds otherwise, the same costs nearly. */
static void compare_with_pytorch(const char *name, const char *csv)
{
    char *text = read_text("pytorch.txt"), hex[65];
    const char *line = text;
    size_t length = strlen(name);
    while (*line && (strncmp(line, name, length) || line[length] != ' ')) line = next_line(line);
    cr_assert(line[0] != 0, "pytorch.txt has no %s", name);
    line += length;
    if (next_line(line) - line == 1 + 64 + 1) {
        digest_of_bytes(csv, strlen(csv), hex);
        cr_assert(strncmp(line + 1, hex, 64) == 0, "%s: PyTorch has other bits", name);
    } else compare_costs(name, csv, line);
    free(text);
}

ParameterizedTestParameters(ranks, tutorial)
{
    static int number[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    return cr_make_param_array(int, number, 8, NULL);
}

ParameterizedTest(const int *number, ranks, tutorial, .timeout = 300)
{
    const char *name = tutorials[*number];
    char file[64];
    snprintf(file, sizeof file, "%s.csv", name);
    char *want = read_text(file);
    for (int i = 0; i < 4; i += is_short() ? 2 : 1) {
        spawned *s = mpi_run(tutorial_ranks[i], tool("LS_TEST_TUTORIALS"), name, "128", NULL);
        cr_assert(eq(int, s->code, 0), "%s", s->err);
        cr_assert(strcmp(s->out, want) == 0, "%s on %d ranks prints other digits", name,
                  tutorial_ranks[i]);
        spawned_free(s);
    }
    compare_with_pytorch(name, want);
    free(want);
}

/* One digest of all checkpoints that a run has left in a directory, which goes. */
static void digest_of_all(const char *dir, char hex[65])
{
    char pattern[128], each[16][65];
    glob_t g;
    snprintf(pattern, sizeof pattern, "%s/*.h5", dir);
    cr_assert(glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc == 9, "checkpoints in %s", dir);
    for (size_t i = 0; i < g.gl_pathc; i++) digest_of(g.gl_pathv[i], each[i]);
    digest_of_bytes(each, g.gl_pathc * sizeof *each, hex);
    globfree(&g);
    must_run(run("rm", "-rf", dir, NULL));
}

/* What all tutorials print, and what they have learnt: one text and one digest for all ranks. */
static char *print_tutorials(const char *leaf_rows)
{
    char *text = NULL, first[65], other[65];
    for (int i = 0; i < 4; i += is_short() ? 2 : 1) {
        spawned *s = mpi_run(tutorial_ranks[i], tool("LS_TEST_TUTORIALS"), "printed", leaf_rows,
                             "learnt", NULL);
        cr_assert(eq(int, s->code, 0), "%s", s->err);
        digest_of_all("learnt", i ? other : first);
        cr_assert(text == NULL || (!strcmp(s->out, text) && !strcmp(first, other)),
                  "leaf_rows %s: another result on %d ranks", leaf_rows, tutorial_ranks[i]);
        if (!text) text = strdup(s->out);
        spawned_free(s);
    }
    return text;
}

Test(ranks, all_that_tutorials_print, .timeout = 300)
{
    char *want = read_text("printed.txt"), *got = print_tutorials("128");
    cr_assert(eq(int, count_of("Cost: ", want), 154));
    cr_assert(eq(str, got, want));
    free(want);
    free(got);
}

/* With small leaves the last digits are others, but the same ones on all ranks. */
Test(ranks, tutorials_in_small_leaves, .timeout = 300)
{
    static const char *const leaf_rows[] = { "1", "3", "32" };
    char *want = read_text("printed.txt");
    for (int l = 0; l < (is_short() ? 1 : 3); l++) {
        char *got = print_tutorials(leaf_rows[l]);
        int costs = 0;
        for (const char *a = got, *b = want; *a || *b; a = next_line(a), b = next_line(b)) {
            const char *mark = strncmp(b, "loss", 4) ? "Cost: " : "loss = ";
            const char *x = strstr(a, mark), *y = strstr(b, mark);
            if (!y || y > next_line(b)) continue;
            double cost = atof(y + strlen(mark));
            cr_assert(x && x < next_line(a));
            if (!(cost > 0.01)) continue;
            cr_assert(fabs(atof(x + strlen(mark)) / cost - 1) <= 2e-4, "leaf_rows %s: %.60s",
                      leaf_rows[l], a);
            costs++;
        }
        cr_assert(gt(int, costs, 100));
        free(got);
    }
    free(want);
}

/* ---- programs that are wrong, and must end well ---------------------------------------------- */
static void misuse(int np, const char *job, const char *failing, int code, const char *line)
{
    spawned *s = mpi_run(np, tool("LS_TEST_MISUSE"), job, failing, NULL);
    cr_assert(eq(int, s->code, code), "%s on %d ranks: %s", job, np, s->err);
    if (line) {
        cr_assert(strstr(s->err, line) != NULL, "%s on %d ranks: %s", job, np, s->err);
        cr_assert(eq(int, count_of("lockstep: ", s->err), 1), "%s on %d ranks: %s", job, np,
                  s->err);
    }
    spawned_free(s);
}

Test(ranks, misuse_is_named, .timeout = 600)
{
    for (int np = is_short() ? 4 : 2; np <= 4; np++) {
        misuse(np, "root_only_backward", "0", 70, "every rank makes every call in the same order");
        misuse(np, "early_break", "0", 65, "rank 0 of");
        misuse(np, "early_break", "1", 65, "rank 1 of");
        misuse(np, "one_row_bad", "0", 65, "numbers: row 77 cannot be read");
        misuse(np, "other_seed", "1", 70, "seed is 7 here, but 0 on the root");
        misuse(np, "other_leaf_rows", "1", 70, "leaf_rows is 4 here, but 32 on the root");
        misuse(np, "stale_result", "0", 70, "which has ended");
        misuse(np, "clear_and_go_on", "1", 0, NULL);
    }
    misuse(1, "one_row_bad", "0", 65, "numbers: row 77 cannot be read");
    misuse(3, "late_rank", "1", 71, "for rank 1, last seen in ls_any()");
}

/* One rank fails in the middle of backward, where sums may be under way between machines; all go on. */
Test(ranks, a_failure_amid_backward_is_of_all, .timeout = 300)
{
    spawned *first = mpi_run(1, tool("LS_TEST_MISUSE"), "fails_amid_backward", NULL);
    cr_assert(eq(int, first->code, 0), "%s", first->err);
    cr_assert(eq(int, count_of("amid backward", first->err), 2), "%s", first->err);
    for (int np = 2; np <= 5; np += is_short() ? 3 : 1)
        for (int by_messages = 0; by_messages < 2; by_messages++) {
            setenv("LS_NODE_MEMORY", by_messages ? "0" : "1", 1);
            spawned *s = mpi_run(np, tool("LS_TEST_MISUSE"), "fails_amid_backward", NULL);
            cr_assert(s->code == 0 && !strcmp(s->out, first->out), "%d ranks: %s", np, s->err);
            cr_assert(eq(int, count_of("rank 0 of ", s->err), 2), "%d ranks: %s", np, s->err);
            spawned_free(s);
        }
    spawned_free(first);
    misuse(3, "sleeps_amid_backward", "0", 71, "for rank 0, last seen in ls_backward()");
    misuse(3, "sleeps_amid_backward", "1", 71, "for rank 1, last seen in ls_backward()");
    unsetenv("LS_NODE_MEMORY");
}

Test(ranks, results_of_odd_programs_agree, .timeout = 300)
{
    static const char *const jobs[] = { "shared_weight",         "two_models",
                                        "by_hand_between",       "load_at_once",
                                        "small_optimizer_first", "small_optimizer_last",
                                        "whole_results",         "two_contexts",
                                        "the_root_looks" };
    for (int j = 0; j < 9; j++) {
        spawned *first = mpi_run(1, tool("LS_TEST_MISUSE"), jobs[j], NULL);
        cr_assert(eq(int, first->code, 0), "%s", first->err);
        cr_assert(strstr(first->out, "gradient 0") == NULL, "%s", first->out);
        for (int np = is_short() ? 3 : 2; np <= 8; np += is_short() ? 5 : np < 5 ? 1 : 3) {
            spawned_free(run("rm", "-rf", "load_at_once", NULL));
            spawned *s = mpi_run(np, tool("LS_TEST_MISUSE"), jobs[j], NULL);
            cr_assert(s->code == 0 && !strcmp(s->out, first->out), "%s on %d ranks", jobs[j], np);
            spawned_free(s);
        }
        spawned_free(first);
    }
}
