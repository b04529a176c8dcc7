/* test_text.c -- numbers and words as people write them, and as messages show them. */
#include "cmd/cmd.h"
#include <criterion/criterion.h>
#include <locale.h>
#include <string.h>

Test(text, whole_numbers)
{
    static const char *const wrong[] = {
        "", "-", "+1", "01", "1.0", "1e3", "0x1", "1_000", " 1", "1 ", "9223372036854775808"
    };
    int64_t n = -7;
    cr_expect(ls_text_int("0", &n) && n == 0);
    cr_expect(ls_text_int("-12", &n) && n == -12);
    cr_expect(ls_text_int("9223372036854775807", &n) && n == INT64_MAX);
    n = 5;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect(!ls_text_int(wrong[i], &n) && n == 5, "%s", wrong[i]);
}

Test(text, reals)
{
    static const char *const wrong[] = { "",    ".",     "-",    "e5",    "1e",
                                         "1e+", "0x10",  "inf",  "nan",   "1,5",
                                         " 1",  "1_0.5", "1.5f", "1e999", "--1" };
    double v = 7;
    cr_expect(ls_text_real("-1.5e-3", &v) && v == -1.5e-3);
    cr_expect(ls_text_real(".5", &v) && v == 0.5);
    cr_expect(ls_text_real("+2.", &v) && v == 2);
    cr_expect(ls_text_real("007", &v) && v == 7);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect(!ls_text_real(wrong[i], &v) && v == 7, "%s", wrong[i]);
}

Test(text, reals_are_written_as_short_as_they_read_back)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        { 0.1, "0.1" },
        { 1e-5, "1e-05" },
        { 255, "255" },
        { 0, "0" },
        { 1. / 3, "0.3333333333333333" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 1e300, "1e+300" },
    };
    char text[LS_REAL_CHARS];
    double back;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_str_eq(ls_real_text(cases[i].value, text), cases[i].text);
        cr_expect(ls_text_real(text, &back) && back == cases[i].value, "%s", text);
    }
}

Test(text, the_locale_stays_as_it_was)
{
    char text[LS_REAL_CHARS];
    double v;
    ls_real_text(0.5, text);
    ls_text_real("0.5", &v);
    cr_expect(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
}

Test(text, numbers_ignore_the_locale)
{
    static const char *const with_comma[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8",
                                              "fr_FR.utf8" };
    char text[LS_REAL_CHARS];
    double v = 0;
    bool is_set = false;
    for (size_t i = 0; !is_set && i < sizeof with_comma / sizeof *with_comma; i++)
        is_set = setlocale(LC_ALL, with_comma[i]) != NULL;
    if (!is_set) cr_skip_test("no locale with a decimal comma here");
    cr_expect(ls_text_real("0.5", &v) && v == 0.5);
    cr_expect(!ls_text_real("0,5", &v));
    cr_expect_str_eq(ls_real_text(0.5, text), "0.5");
    cr_expect_str_eq(localeconv()->decimal_point, ",", "the locale is left as it was");
}

Test(text, distance)
{
    cr_expect_eq(ls_text_distance("lr", "lr"), 0);
    cr_expect_eq(ls_text_distance("", "abc"), 3);
    cr_expect_eq(ls_text_distance("momentun", "momentum"), 1);
    cr_expect_eq(ls_text_distance("rl", "lr"), 1);
    cr_expect_eq(ls_text_distance("kitten", "sitting"), 3);
}

Test(text, suggestions)
{
    static const char *const known[] = { "lr", "momentum", "weight_decay", "nesterov" };
    cr_expect_str_eq(ls_suggest("momentun", 4, known), "momentum");
    cr_expect_str_eq(ls_suggest("lerning_rate", 4, known), "lr");
    cr_expect_str_eq(ls_suggest("wd", 4, known), "weight_decay");
    cr_expect_null(ls_suggest("colour", 4, known));
    cr_expect_null(ls_suggest("", 4, known));
}

Test(text, quotes_are_short_and_printable)
{
    char quoted[LS_QUOTE_CHARS], word[200];
    cr_expect_str_eq(ls_quote("a\tb\x1b[2J", quoted), "\"a?b?[2J\"");
    memset(word, 'x', 199);
    word[199] = 0;
    cr_expect_eq(strlen(ls_quote(word, quoted)), LS_QUOTE_CHARS - 1);
    cr_expect_str_eq(quoted + LS_QUOTE_CHARS - 6, "x...\"");
    for (int i = 0; i < 198; i += 2) memcpy(word + i, "\xC3\xA9", 2);
    ls_quote(word + 1, quoted); /* cut where a character would be cut in two */
    cr_expect_null(strstr(quoted, "\xC3..."));
}
