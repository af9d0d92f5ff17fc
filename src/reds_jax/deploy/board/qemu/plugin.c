/* A plugin of QEMU (TCG, API version 1) that counts how often every instruction of an image is executed.
 *
 *   -plugin plugin.so,base=ADDRESS,bytes=N,mark=ADDRESS,out=PATH
 *
 * Counted are the instructions that start in [base, base + bytes). Each time that the instruction at ``mark`` is executed, a region
 * ends and the next begins; the file has a line "region" for each and below it "address count", hexadecimal and decimal, for the
 * instructions that were executed in it, among them the one at ``mark`` that begins the region. What was executed elsewhere has the
 * address ffffffff.
 *
 * Debian has no header of QEMU's plugins, so what is used of it is declared here (include/qemu/qemu-plugin.h of QEMU 4.2 to 8). */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*function)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*function)(unsigned int, void *),
                                            enum qemu_plugin_cb_flags flags, void *argument);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, enum qemu_plugin_op op, void *to, uint64_t value);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*function)(qemu_plugin_id_t, void *), void *argument);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t k);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments);

static uint64_t base, bytes, mark, elsewhere;
static uint64_t *executed, *before; /* by address, in units of 2 bytes: since the start, and until this region began */
static FILE *out;

static void end_region(void) {
    fputs("region\n", out);
    for (uint64_t i = 0; i < bytes / 2; i++) {
        if (executed[i] != before[i]) fprintf(out, "%" PRIx64 " %" PRIu64 "\n", base + 2 * i, executed[i] - before[i]);
    }
    if (elsewhere != 0) fprintf(out, "ffffffff %" PRIu64 "\n", elsewhere);
    elsewhere = 0;
    memcpy(before, executed, bytes / 2 * sizeof *before);
}

static void marked(unsigned int vcpu, void *argument) {
    (void)vcpu;
    (void)argument;
    end_region();
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    for (size_t k = 0; k < qemu_plugin_tb_n_insns(tb); k++) {
        struct qemu_plugin_insn *const insn = qemu_plugin_tb_get_insn(tb, k);
        const uint64_t address = qemu_plugin_insn_vaddr(insn);
        const int inside = address >= base && address < base + bytes;
        if (address == mark) qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, QEMU_PLUGIN_CB_NO_REGS, NULL);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                   inside ? &executed[(address - base) / 2] : &elsewhere, 1);
    }
}

static void ended(qemu_plugin_id_t id, void *argument) {
    (void)id;
    (void)argument;
    end_region();
    fclose(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments) {
    (void)info;
    for (int k = 0; k < count; k++) {
        const char *const value = strchr(arguments[k], '=');
        if (value == NULL) return 1;
        if (strncmp(arguments[k], "base=", 5) == 0) base = strtoull(value + 1, NULL, 0);
        if (strncmp(arguments[k], "bytes=", 6) == 0) bytes = strtoull(value + 1, NULL, 0);
        if (strncmp(arguments[k], "mark=", 5) == 0) mark = strtoull(value + 1, NULL, 0);
        if (strncmp(arguments[k], "out=", 4) == 0) out = fopen(value + 1, "w");
    }
    executed = calloc(bytes / 2 + 1, sizeof *executed);
    before = calloc(bytes / 2 + 1, sizeof *before);
    if (out == NULL || executed == NULL || before == NULL) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
