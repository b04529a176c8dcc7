/* test_convert.c -- lockstep convert: every value that goes in comes out of the HDF5 file, and
 * whatever is wrong with the source is named, with nothing left behind.
 */
#include "cli.h"
#include <criterion/criterion.h>
#include <hdf5.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(csv, .init = place_begin, .fini = place_end);
TestSuite(idx, .init = place_begin, .fini = place_end);
TestSuite(target, .init = place_begin, .fini = place_end);

/* ---- what came out --------------------------------------------------------------------------- */
typedef struct table {
    int ndim;
    hsize_t dim[4];
    H5T_class_t class;
    size_t bytes;
    double *value;
} table;

static table read_table(const char *path, const char *name)
{
    table t = { 0 };
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT), type = H5Dget_type(set),
          space = H5Dget_space(set);
    cr_assert(file >= 0 && set >= 0 && type >= 0 && space >= 0, "%s in %s", name, path);
    t.ndim = H5Sget_simple_extent_dims(space, t.dim, NULL);
    t.class = H5Tget_class(type);
    t.bytes = H5Tget_size(type);
    t.value = malloc((size_t)H5Sget_simple_extent_npoints(space) * sizeof(double));
    cr_assert(H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, t.value) >= 0);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
    H5Fclose(file);
    return t;
}

/* columns 0: one dimension. */
static void expect_table(const char *path, const char *name, H5T_class_t class, size_t bytes,
                         hsize_t rows, hsize_t columns, const double *values)
{
    table t = read_table(path, name);
    cr_expect_eq(t.ndim, columns ? 2 : 1, "%s has %d dimensions", name, t.ndim);
    cr_expect(t.class == class && t.bytes == bytes, "%s is of type class %d, %zu bytes", name,
              t.class, t.bytes);
    cr_assert(t.dim[0] == rows && (!columns || t.dim[1] == columns), "%s is [%d, %d]", name,
              (int)t.dim[0], (int)t.dim[1]);
    for (hsize_t i = 0; i < rows * (columns ? columns : 1); i++)
        cr_expect(t.value[i] == values[i], "%s %d: %.17g, not %.17g", name, (int)i, t.value[i],
                  values[i]);
    free(t.value);
}
#define VALUES(...) ((const double[]){ __VA_ARGS__ })

/* ---- CSV ------------------------------------------------------------------------------------- */
Test(csv, columns_and_rows)
{
    write_text("a.csv", "1,2,3\n4,-5e1,.5\n");
    expect_end(lockstep("convert", "a.csv", "a.h5"), 0, "a.h5: 2 rows, x [2] float32, y float32\n",
               "");
    expect_table("a.h5", "/x", H5T_FLOAT, 4, 2, 2, VALUES(1, 2, 4, -50));
    expect_table("a.h5", "/y", H5T_FLOAT, 4, 2, 0, VALUES(3, 0.5));
    cr_expect_eq(files_here(), 2);
}

Test(csv, how_people_and_programs_write_it)
{
    write_text("a.csv",
               "\xEF\xBB\xBF"
               "width, height ,\"the \"\"kind\"\"\"\r\n 1 ,\t2, \"0\" \r\n3,4,1\r\n\r\n \n");
    expect_end(lockstep("convert", "a.csv", "a.h5", "--classes"), 0,
               "a.h5: 2 rows, x [2] float32, y int64\n", "");
    expect_table("a.h5", "/x", H5T_FLOAT, 4, 2, 2, VALUES(1, 2, 3, 4));
    expect_table("a.h5", "/y", H5T_INTEGER, 8, 2, 0, VALUES(0, 1));
    write_text("b.csv", "\xEF\xBB\xBF"
                        "1,2\n3,4"); /* no end of line */
    expect_end(lockstep("convert", "b.csv", "b.h5"), 0, NULL, "");
    expect_table("b.h5", "/y", H5T_FLOAT, 4, 2, 0, VALUES(2, 4));
}

Test(csv, y_by_name_or_number)
{
    write_text("a.csv", "kind,width,7\n0,1,2\n5,3,4\n");
    expect_end(lockstep("convert", "a.csv", "n.h5", "--y", "kind", "--header=yes"), 0, NULL, "");
    expect_table("n.h5", "/x", H5T_FLOAT, 4, 2, 2, VALUES(1, 2, 3, 4));
    expect_table("n.h5", "/y", H5T_FLOAT, 4, 2, 0, VALUES(0, 5));
    expect_end(lockstep("convert", "a.csv", "2.h5", "--y=2", "--header", "yes"), 0, NULL, "");
    expect_table("2.h5", "/x", H5T_FLOAT, 4, 2, 2, VALUES(0, 2, 5, 4));
    expect_end(lockstep("convert", "a.csv", "7.h5", "--y=7", "--header=yes"), 0, NULL, "");
    expect_table("7.h5", "/y", H5T_FLOAT, 4, 2, 0, VALUES(2, 4));
    expect_end(lockstep("convert", "a.csv", "x.h5", "--y=8", "--header=yes"), 64, "",
               "lockstep: --y: \"8\" is no column of a.csv: it has 3, counted from 1, or named in "
               "its first line; "
               "see lockstep convert --help\n");
    write_text("b.csv", "1,2\n");
    expect_end(lockstep("convert", "b.csv", "x.h5", "--y=0"), 64, "",
               "lockstep: --y: \"0\" is no column of b.csv: it has 2, counted from 1, and no "
               "header; see lockstep "
               "convert --help\n");
}

Test(csv, numbers_are_rounded_once)
{
    /* Just above the middle of two floats, by less than a double tells: rounded twice, it goes
     * down. */
    write_text("a.csv", "1.00000005960464477540,0.1\n");
    expect_end(lockstep("convert", "a.csv", "f.h5"), 0, NULL, "");
    expect_table("f.h5", "/x", H5T_FLOAT, 4, 1, 1, VALUES(0x1.000002p0));
    expect_end(lockstep("convert", "a.csv", "d.h5", "--float64"), 0,
               "d.h5: 1 rows, x [1] float64, y float64\n", "");
    expect_table("d.h5", "/y", H5T_FLOAT, 8, 1, 0, VALUES(0.1));
}

Test(csv, numbers_are_those_of_the_library)
{
    enum { ROWS = 20000 };
    static char text[ROWS][32];
    uint64_t word = 1;
    FILE *out = fopen("a.csv", "w");
    for (int i = 0; i < ROWS; i++) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        int decimals = (int)(word >> 33) % 18 - 1, digits = 1 + (int)(word >> 40) % 18;
        double value = (double)(int64_t)(word ^ word >> 29) * pow(10, -(int)(word >> 50) % 19);
        if (i % 2) value = (double)(word >> 40) * pow(10, -decimals); /* few digits */
        else value = fmod(value, pow(10, 17 - decimals));
        if (decimals < 0) snprintf(text[i], sizeof text[i], "%.*g", digits, value);
        else snprintf(text[i], sizeof text[i], "%.*f", decimals, value);
        fprintf(out, "%s,0\n", text[i]);
    }
    cr_assert(!fclose(out));
    expect_end(lockstep("convert", "a.csv", "f.h5"), 0, NULL, "");
    expect_end(lockstep("convert", "a.csv", "d.h5", "--float64"), 0, NULL, "");
    table f = read_table("f.h5", "/x"), d = read_table("d.h5", "/x");
    for (int i = 0; i < ROWS; i++)
        cr_assert(f.value[i] == strtof(text[i], NULL) && d.value[i] == strtod(text[i], NULL),
                  "%s: %.17g, %.17g", text[i], f.value[i], d.value[i]);
    free(f.value);
    free(d.value);
}

Test(csv, what_is_wrong_is_named)
{
    static const struct {
        const char *text, *complaint, *option;
    } cases[] = {
        { "1,2\n3,abc\n", "a.csv: line 2, column 2: \"abc\" is not a number", NULL },
        { "1,2\n3,0x10\n", "a.csv: line 2, column 2: \"0x10\" is not a number", NULL },
        { "1,2\nnan,1\n", "a.csv: line 2, column 1: \"nan\" is not a number", NULL },
        { "1,2\n1-2,1\n", "a.csv: line 2, column 1: \"1-2\" is not a number", NULL },
        { "1,2\n-,1\n", "a.csv: line 2, column 1: \"-\" is not a number", NULL },
        { "1,2\n.,1\n", "a.csv: line 2, column 1: \".\" is not a number", NULL },
        { "1,2\n1.2.3,1\n", "a.csv: line 2, column 1: \"1.2.3\" is not a number", NULL },
        { "1,2\n,1\n", "a.csv: line 2, column 1: the field is empty", NULL },
        { "1,2\n1,\n", "a.csv: line 2, column 2: the field is empty", NULL },
        { "1,2\n1\n", "a.csv: line 2 has 1 columns, and the lines before it 2", NULL },
        { "1,2\n1,2,3\n", "a.csv: line 2 has 3 columns, and the lines before it 2", NULL },
        { "1,2\n\n3,4\n", "a.csv: line 2 is empty", NULL },
        { "1,2\n\"3,4\n", "a.csv: line 2, column 1: a quote does not end", NULL },
        { "1,2\n\"3\"x,4\n", "a.csv: line 2, column 1: a quote does not end", NULL },
        { "1,2\n1e39,4\n",
          "a.csv: line 2, column 1: \"1e39\" does not fit float32; --float64 may help", NULL },
        { "1,2\n1e999,4\n", "a.csv: line 2, column 1: \"1e999\" does not fit float64",
          "--float64" },
        { "1,2\n1,0.5\n",
          "a.csv: line 2, column 2: \"0.5\" is not a class: a whole number, 0 or more",
          "--classes" },
        { "1,2\n1,-1\n",
          "a.csv: line 2, column 2: \"-1\" is not a class: a whole number, 0 or more",
          "--classes" },
        { "a,2\n1,2\n",
          "a.csv: line 1 has 1 numbers in 2 columns: a header, or a bad row? --header yes or "
          "--header no "
          "says it",
          NULL },
        { "a,2\n1,2\n", "a.csv: line 1, column 1: \"a\" is not a number", "--header=no" },
        { "1;2\n", "a.csv has 1 columns; x and y need 2 or more, separated by commas", NULL },
        { "a,b\n", "a.csv holds no rows", NULL },
        { "\n", "a.csv holds no rows", NULL },
        { "", "a.csv is empty", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char err[512];
        write_text("a.csv", cases[i].text);
        snprintf(err, sizeof err, "lockstep: %s\n", cases[i].complaint);
        expect_end(cases[i].option ? lockstep("convert", "a.csv", "a.h5", cases[i].option)
                                   : lockstep("convert", "a.csv", "a.h5"),
                   65, "", err);
        cr_expect_eq(files_here(), 1, "something is left of case %zu", i);
    }
    write_bytes("a.csv", "1,2,3,4,5,6\n1,2\0,3,4,5,6\n", 25);
    expect_end(lockstep("convert", "a.csv", "a.h5"), 65, "",
               "lockstep: a.csv: line 2 holds a zero byte: is it a text?\n");
}

Test(csv, more_rows_than_a_block)
{
    enum { ROWS = 150000 };
    FILE *out = fopen("a.csv", "w");
    for (int i = 0; i < ROWS; i++) fprintf(out, "%d,%d,%d\n", i, 2 * i, i % 7);
    cr_assert(!fclose(out));
    expect_end(lockstep("convert", "a.csv", "a.h5", "--classes"), 0,
               "a.h5: 150000 rows, x [2] float32, y int64\n", "");
    table x = read_table("a.h5", "/x"), y = read_table("a.h5", "/y");
    cr_assert(x.dim[0] == ROWS && y.dim[0] == ROWS);
    int wrong = 0;
    for (int i = 0; i < ROWS; i++)
        wrong += x.value[2 * i] != i || x.value[2 * i + 1] != 2 * i || y.value[i] != i % 7;
    cr_expect_eq(wrong, 0);
    free(x.value);
    free(y.value);
}

Test(csv, lines_that_end_where_the_buffer_does)
{
    enum { LINE = 1 << 18, COLUMNS = LINE / 2 };
    char *line = malloc(LINE + 2);
    for (int i = 0; i < COLUMNS; i++) memcpy(line + 2 * i, "1,", 2);
    memcpy(line + LINE - 1, "0\n", 3);
    FILE *out = fopen("a.csv", "w");
    for (int i = 0; i < 3; i++) fputs(line, out);
    cr_assert(!fclose(out));
    free(line);
    expect_end(lockstep("convert", "a.csv", "a.h5"), 0,
               "a.h5: 3 rows, x [131071] float32, y float32\n", "");
    expect_table("a.h5", "/y", H5T_FLOAT, 4, 3, 0, VALUES(10, 10, 10));
}

Test(csv, gzip)
{
    write_gzip("a.csv.gz", "1,2\n3,4\n", 8);
    expect_end(lockstep("convert", "a.csv.gz", "a.h5"), 0, NULL, "");
    expect_table("a.h5", "/x", H5T_FLOAT, 4, 2, 1, VALUES(1, 3));
}

/* gzip data may follow each other, and zeros may fill a block up; other bytes are a part that is damaged. */
Test(csv, gzip_in_parts)
{
    enum { MOST = 256 };
    size_t count;
    write_gzip("a.csv.gz", "1,2\n3,4\n", 8);
    char *gz = read_text("a.csv.gz", &count), both[MOST] = "";
    cr_assert(2 * count < MOST);
    memcpy(both, gz, count);
    memcpy(both + count, gz, count);
    write_bytes("a.csv.gz", both, MOST);
    expect_end(lockstep("convert", "a.csv.gz", "a.h5"), 0, NULL, "");
    expect_table("a.h5", "/x", H5T_FLOAT, 4, 4, 1, VALUES(1, 3, 1, 3));
    for (size_t end = 2 * count; end <= MOST; end += MOST - 2 * count) {
        both[count] ^= 4;
        write_bytes("a.csv.gz", both, end);
        expect_end(lockstep("convert", "a.csv.gz", "b.h5"), 65, "",
                   "lockstep: a.csv.gz: what follows its first gzip data is cut off, damaged, "
                   "or no gzip data\n");
        both[count] ^= 4;
    }
    write_bytes("a.csv.gz", both, count + 1);
    expect_end(lockstep("convert", "a.csv.gz", "b.h5"), 65, "",
               "lockstep: a.csv.gz: what follows its first gzip data is cut off, damaged, "
               "or no gzip data\n");
    both[MOST - 2] = 1;
    write_bytes("a.csv.gz", both, MOST);
    expect_end(lockstep("convert", "a.csv.gz", "b.h5"), 65, "",
               "lockstep: a.csv.gz: what follows its first gzip data is cut off, damaged, "
               "or no gzip data\n");
    free(gz);
}

/* ---- IDX ------------------------------------------------------------------------------------- */
static const unsigned char images[] = { 0, 0, 8, 3, 0, 0, 0,   3,   0,   0,   0, 2, 0,  0,
                                        0, 2, 0, 1, 2, 3, 255, 254, 128, 127, 8, 9, 10, 11 };
static const unsigned char labels[] = { 0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 200 };
static const double pixels[] = { 0, 1, 2, 3, 255, 254, 128, 127, 8, 9, 10, 11 };

static void expect_images(const char *path)
{
    expect_table(path, "/x", H5T_INTEGER, 1, 3, 4, pixels);
    expect_table(path, "/y", H5T_INTEGER, 8, 3, 0, VALUES(9, 0, 200));
}

Test(idx, images_and_labels)
{
    write_bytes("pictures", images, sizeof images);
    write_bytes("classes", labels, sizeof labels);
    expect_end(lockstep("convert", "pictures", "a.h5", "--labels", "classes"), 0,
               "a.h5: 3 rows, x [4] uint8, y int64\n", "");
    expect_images("a.h5");
    expect_end(lockstep("convert", "pictures", "b.h5"), 64, "",
               "lockstep: pictures holds images; --labels names the file with their labels; see "
               "lockstep convert --help\n");
}

Test(idx, labels_are_found_by_name)
{
    cr_assert(!mkdir("images", 0777)); /* a directory's name is left alone */
    write_gzip("images/t-images-idx3-ubyte.gz", images, sizeof images);
    write_gzip("images/t-labels-idx1-ubyte.gz", labels, sizeof labels);
    expect_end(lockstep("convert", "images/t-images-idx3-ubyte.gz", "a.h5"), 0, NULL, "");
    expect_images("a.h5");
    write_bytes("t-images-idx3-ubyte", images, sizeof images);
    write_gzip("t-labels-idx1-ubyte.gz", labels, sizeof labels);
    expect_end(lockstep("convert", "t-images-idx3-ubyte", "b.h5"), 0, NULL, "");
    expect_images("b.h5");
    write_bytes("u-images", images, sizeof images);
    expect_end(lockstep("convert", "u-images", "c.h5"), 66, "",
               "lockstep: u-labels: No such file or directory\n");
}

Test(idx, other_types)
{
    static const unsigned char floats[] = { 0, 0, 13,   2,    0, 0, 0,    2,    0, 0,
                                            0, 1, 0x3F, 0x80, 0, 0, 0xC0, 0x20, 0, 0 };
    static const unsigned char ints[] = { 0, 0, 12, 1, 0,    0,    0,    2,
                                          0, 1, 0,  0, 0xFF, 0xFF, 0xFF, 0xFE };
    write_bytes("x", floats, sizeof floats);
    write_bytes("y", ints, sizeof ints);
    expect_end(lockstep("convert", "x", "a.h5", "--labels=y"), 0,
               "a.h5: 2 rows, x [1] float32, y int64\n", "");
    expect_table("a.h5", "/x", H5T_FLOAT, 4, 2, 1, VALUES(1, -2.5));
    expect_table("a.h5", "/y", H5T_INTEGER, 8, 2, 0, VALUES(65536, -2));
}

static void expect_refused(const void *x, size_t x_bytes, const void *y, size_t y_bytes,
                           const char *complaint)
{
    char err[512];
    write_bytes("x", x, x_bytes);
    write_bytes("y", y, y_bytes);
    snprintf(err, sizeof err, "lockstep: %s\n", complaint);
    expect_end(lockstep("convert", "x", "a.h5", "--labels=y"), 65, "", err);
    cr_expect_eq(files_here(), 2, "something is left: %s", complaint);
}

Test(idx, what_is_wrong_is_named)
{
    unsigned char bad[64];
    expect_refused(images, sizeof images - 1, labels, sizeof labels,
                   "x is cut off: its header says 3 rows, but it holds 2");
    expect_refused(images, 14, labels, sizeof labels, "x is cut off: it ends in its header");
    memcpy(bad, images, sizeof images);
    bad[sizeof images] = 7;
    expect_refused(bad, sizeof images + 1, labels, sizeof labels,
                   "x goes on after the 3 rows that its header says");
    expect_refused(images, sizeof images, labels, sizeof labels - 1,
                   "y is cut off: its header says 3 rows, but it holds 2");
    expect_refused(images, sizeof images, "abcdefgh", 8,
                   "y is no IDX file: it begins with other bytes");
    expect_refused(images, sizeof images, images, sizeof images,
                   "y holds no labels: they are whole numbers in one dimension");
    expect_refused(labels, sizeof labels, labels, sizeof labels,
                   "x has one dimension, as labels have; name the images first");
    memcpy(bad, labels, sizeof labels);
    bad[7] = 2;
    expect_refused(images, sizeof images, bad, sizeof labels - 1,
                   "x has 3 rows, but y has 2 labels");
    memcpy(bad, images, sizeof images);
    bad[2] = 12;
    expect_refused(
        bad, sizeof images, labels, sizeof labels,
        "x holds elements of type 0x0C; 0x08 (bytes), 0x0D and 0x0E (floating) are read");
    memcpy(bad, images, sizeof images);
    bad[2] = 7; /* no type: not taken for IDX */
    expect_refused(bad, sizeof images, labels, sizeof labels,
                   "x is neither CSV nor IDX: its first bytes are no text and no IDX header");
    memcpy(bad, images, sizeof images);
    memset(bad + 8, 255, 8);
    expect_refused(bad, sizeof images, labels, sizeof labels,
                   "x has rows of too many elements: is its header sound?");
    memset(bad + 4, 0, 4);
    memcpy(bad + 8, images + 8, 8);
    expect_refused(bad, sizeof images, labels, sizeof labels, "x holds no rows");
}

Test(idx, damaged_gzip)
{
    size_t count;
    unsigned char noise[5000] = { 0, 0, 8, 2, 0, 0, 0, 4, 0, 0, 4, 0 };
    for (size_t i = 12; i < sizeof noise; i++) noise[i] = (unsigned char)(i * i >> 3);
    write_gzip("x.gz", noise, 12 + 4096);
    write_bytes("y", (unsigned char[]){ 0, 0, 8, 1, 0, 0, 0, 4, 1, 2, 3, 4 }, 12);
    char *gz = read_text("x.gz", &count);
    cr_assert_gt(count, 600);
    expect_end(lockstep("convert", "x.gz", "a.h5", "--labels=y"), 0, NULL, "");
    write_bytes("x.gz", gz, count / 2);
    expect_end(lockstep("convert", "x.gz", "b.h5", "--labels=y"), 65, "",
               "lockstep: x.gz is cut off: it ends in the middle of its gzip data\n");
    write_bytes("x.gz", gz, count - 4);
    expect_end(lockstep("convert", "x.gz", "b.h5", "--labels=y"), 65, "",
               "lockstep: x.gz is cut off: it ends in the middle of its gzip data\n");
    gz[count - 6] ^= 1; /* its check */
    write_bytes("x.gz", gz, count);
    expect_end(lockstep("convert", "x.gz", "b.h5", "--labels=y"), 65, "",
               "lockstep: x.gz: the gzip data are damaged\n");
    free(gz);
}

Test(csv, a_name_of_several_columns)
{
    write_text("twice.csv", "a,b,a\n1,2,3\n");
    expect_end(lockstep("convert", "twice.csv", "twice.h5", "--y=a"), 64, "",
               "lockstep: --y: \"a\" is the name of several columns of twice.csv: take its number, "
               "counted "
               "from 1; see lockstep convert --help\n");
    expect_end(lockstep("convert", "twice.csv", "twice.h5", "--y=b"), 0, NULL, "");
}

/* ---- source, target, words ------------------------------------------------------------------- */
Test(target, what_is_there_stays_unless_forced)
{
    write_text("a.csv", "1,2\n");
    write_text("a.h5", "precious");
    expect_end(lockstep("convert", "a.csv", "a.h5"), 73, "",
               "lockstep: a.h5 is there already; --force replaces it\n");
    expect_end(lockstep("convert", "a.csv", "./a.csv", "--force"), 73, "",
               "lockstep: ./a.csv is what is to be converted: name another file\n");
    char *text = read_text("a.h5", NULL);
    cr_expect_str_eq(text, "precious");
    free(text);
    write_text("bad.csv", "1,2\n3,x\n");
    expect_end(lockstep("convert", "bad.csv", "a.h5", "--force"), 65, "", NULL);
    text = read_text("a.h5", NULL);
    cr_expect_str_eq(text, "precious", "a conversion that failed took it away");
    free(text);
    expect_end(lockstep("convert", "a.csv", "a.h5", "--force"), 0,
               "a.h5: 1 rows, x [1] float32, y float32\n", "");
    expect_table("a.h5", "/x", H5T_FLOAT, 4, 1, 1, VALUES(1));
    cr_expect_eq(files_here(), 3);
    cr_assert(!mkdir("d.h5", 0777));
    expect_end(lockstep("convert", "a.csv", "d.h5", "--force"), 73, "",
               "lockstep: d.h5 is there already, and no file that could be replaced\n");
    cr_expect_eq(files_here(), 4, "what could not be put in place is left");
}

/* A process that is killed halfway leaves nothing; one that could not help it is cleared away by the next. */
Test(target, nothing_is_left_of_those_that_died)
{
    char command[400], host[65], stale[3][200];
    for (int i = 0; i < 2; i++) {
        sprintf(command,
                "rm -f f; mkfifo f; %s convert f b.h5 & p=$!; exec 3>f; "
                "yes 1,2 | head -c 600000 >&3; sleep 0.2; kill -%s $p; wait $p; rm f",
                getenv("LS_LOCKSTEP"), i ? "TERM" : "KILL");
        spawned_free(run("sh", "-c", command, NULL));
        cr_expect_eq(files_here(), 0, "round %d", i);
    }
    pid_t dead = fork();
    if (dead == 0) _exit(0);
    cr_assert(waitpid(dead, NULL, 0) == dead && !gethostname(host, sizeof host));
    for (char *c = host; *c; c++)
        if (*c == '-') *c = '_';
    sprintf(stale[0], ".b.h5.tmp-%s-%ld", host, (long)dead);
    sprintf(stale[1], ".b.h5-y.tmp-%s-%ld", host, (long)dead);
    sprintf(stale[2], ".b.h5.tmp-%s-%ld", host, (long)getpid()); /* of one that lives */
    for (int i = 0; i < 3; i++) write_text(stale[i], "1");
    write_text("a.csv", "1,2\n3,4\n");
    expect_end(lockstep("convert", "a.csv", "b.h5"), 0, NULL, "");
    cr_expect(access(stale[0], F_OK) && access(stale[1], F_OK) && !access(stale[2], F_OK));
    cr_expect_eq(files_here(), 3);
}

Test(target, sources_that_are_none)
{
    write_text("a.csv", "1,2\n");
    expect_end(lockstep("convert", "none.csv", "b.h5"), 66, "",
               "lockstep: none.csv: No such file or directory\n");
    expect_end(lockstep("convert", ".", "b.h5"), 65, "", "lockstep: . is a directory\n");
    expect_end(lockstep("convert", "a.csv", "a.h5"), 0, NULL, "");
    expect_end(lockstep("convert", "a.h5", "b.h5"), 65, "",
               "lockstep: a.h5 is an HDF5 file already\n");
    expect_end(lockstep("convert", "a.csv", "none/b.h5"), 73, "", NULL);
    cr_expect_eq(files_here(), 2);
}

Test(target, words)
{
    write_text("a.csv", "1,2\n");
    write_bytes("x", images, sizeof images);
    expect_end(lockstep("convert"), 64, "",
               "lockstep: SRC is missing: a CSV file, or the images of an IDX pair; .gz is fine; "
               "see lockstep convert --help\n");
    expect_end(lockstep("convert", "a.csv"), 64, "",
               "lockstep: DST.h5 is missing: the HDF5 file to make; see lockstep convert --help\n");
    expect_end(lockstep("convert", "a.csv", "b.h5", "c.h5"), 64, "",
               "lockstep: one word too many: \"c.h5\"; see lockstep convert --help\n");
    expect_end(lockstep("convert", "a.csv", "b.h5", "--clases"), 64, "",
               "lockstep: unknown option \"--clases\"; did you mean --classes? See lockstep "
               "convert --help\n");
    expect_end(lockstep("convert", "a.csv", "b.h5", "--header=maybe"), 64, "",
               "lockstep: --header: must be auto, yes or no, not \"maybe\"; see lockstep convert "
               "--help\n");
    expect_end(lockstep("convert", "a.csv", "b.h5", "--labels=x"), 64, "",
               "lockstep: a.csv is a CSV file; --labels is for IDX, --y names a column; see "
               "lockstep convert --help\n");
    expect_end(lockstep("convert", "x", "b.h5", "--classes"), 64, "",
               "lockstep: x is an IDX file; --y, --classes, --float64 and --header are for CSV; "
               "see lockstep convert "
               "--help\n");
    cr_expect_eq(files_here(), 2);
}

Test(target, several_ranks_make_one_file)
{
    write_text("a.csv", "1,2\n3,4\n");
    expect_end(lockstep_on(3, "convert", "a.csv", "a.h5"), 0,
               "a.h5: 2 rows, x [1] float32, y float32\n", NULL);
    expect_table("a.h5", "/y", H5T_FLOAT, 4, 2, 0, VALUES(2, 4));
    write_text("a.csv", "1,2\n3,x\n");
    spawned *s = lockstep_on(3, "convert", "a.csv", "b.h5");
    cr_expect_eq(s->code, 65, "exit code %d after %.0f s: %s", s->code, s->seconds, s->err);
    cr_expect_eq(count_of("a.csv: line 2, column 2: \"x\" is not a number\n", s->err), 1, "%s",
                 s->err);
    spawned_free(s);
    cr_expect_eq(files_here(), 2);
}
