/* A plug-in of qemu 7.2 that counts the instructions of an emulated 64-bit ARM program by class.
 *
 * Its only argument, out=FILE, names a file to which a line of six counts, a mark, is appended
 * whenever the program calls getpriority(2), which has no effect and is available in Python. Counts
 * start with the program; the count between two marks is the difference of their lines.
 *
 * The declarations below are the parts of version 1 of qemu's plug-in interface and of the C library
 * that are used, so that neither headers nor linking are needed.
 */

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned long size;
struct tb;
struct instruction;
struct file;

enum { ADD_U64 };
enum { INTEGER, FLOAT, DOT, LOAD, STORE, BRANCH, CLASSES };
enum { GETPRIORITY = 141 };

void qemu_plugin_register_vcpu_tb_trans_cb(u64 id, void (*call)(u64 id, struct tb *block));
void qemu_plugin_register_vcpu_tb_exec_inline(struct tb *block, int op, void *counter, u64 value);
void qemu_plugin_register_vcpu_syscall_cb(u64 id, void (*call)(u64 id, u32 cpu, long long number,
    u64 a, u64 b, u64 c, u64 d, u64 e, u64 f, u64 g, u64 h));
size qemu_plugin_tb_n_insns(const struct tb *block);
struct instruction *qemu_plugin_tb_get_insn(const struct tb *block, size index);
const void *qemu_plugin_insn_data(const struct instruction *instruction);

struct file *fopen(const char *path, const char *mode);
int fprintf(struct file *file, const char *format, ...);
int fflush(struct file *file);
int strncmp(const char *a, const char *b, size count);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static u64 counts[CLASSES];
static struct file *out;

/* The groups are those of the Arm Architecture Reference Manual, A64 encoding. Bit 22 distinguishes
 * loads from stores, except in plain loads of integers, whose bits 23:22 encode the extension. */
static int access(u32 word)
{
    int literal = (word & 0x3b000000) == 0x18000000;
    int plain_integer = (word & 0x3c000000) == 0x38000000;
    int loads = plain_integer ? (word >> 22 & 3) != 0 : word >> 22 & 1;
    int atomic = plain_integer && (word & 0x01200c00) == 0x00200000;

    return literal || loads || atomic ? LOAD : STORE;
}

/* SDOT and UDOT, by vector and by element. */
static int is_dot(u32 word)
{
    return (word & 0x9fe0fc00) == 0x0e809400 || (word & 0x9fc0f400) == 0x0f80e000;
}

static int is_branch(u32 word)
{
    return (word & 0x7c000000) == 0x14000000     /* b, bl */
        || (word & 0x7c000000) == 0x34000000     /* cbz, cbnz, tbz, tbnz */
        || (word & 0xff000000) == 0x54000000     /* b.cond */
        || (word & 0xfe000000) == 0xd6000000;    /* br, blr, ret */
}

static int class_of(u32 word)
{
    u32 group = word >> 25 & 15;

    if ((group & 5) == 4)
        return access(word);
    if ((group & 7) == 7)
        return is_dot(word) ? DOT : FLOAT;
    return is_branch(word) ? BRANCH : INTEGER;
}

static void translated(u64 id, struct tb *block)
{
    u64 block_counts[CLASSES] = {0};
    size length = qemu_plugin_tb_n_insns(block);

    (void)id;
    for (size i = 0; i < length; i++) {
        const unsigned char *bytes = qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i));
        u32 word = bytes[0] | (u32)bytes[1] << 8 | (u32)bytes[2] << 16 | (u32)bytes[3] << 24;

        block_counts[class_of(word)]++;
    }
    for (int i = 0; i < CLASSES; i++)
        if (block_counts[i])
            qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counts[i], block_counts[i]);
}

static void called(u64 id, u32 cpu, long long number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f,
    u64 g, u64 h)
{
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != GETPRIORITY)
        return;
    for (int i = 0; i < CLASSES; i++)
        fprintf(out, i + 1 < CLASSES ? "%llu " : "%llu\n", counts[i]);
    fflush(out);
}

__attribute__((visibility("default"))) int qemu_plugin_install(u64 id, const void *info,
    int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0)
        return 1;
    out = fopen(argv[0] + 4, "a");
    if (!out)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
