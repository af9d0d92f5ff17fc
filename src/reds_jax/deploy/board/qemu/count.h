/* Counts instructions on the virtual clock of QEMU, and prints without a C library.
 *
 * Run with `-icount shift=10,align=off,sleep=off`: every instruction then takes 1024 ns of virtual time, and a hardware timer of
 * the board tells how many there were. The count is exact and repeatable; it is a count of INSTRUCTIONS, not of cycles.
 *
 *   qemu-system-arm -M mps2-an386 -nographic -semihosting-config enable=on,target=native
 *                   -icount shift=10,align=off,sleep=off -kernel x.elf           (Cortex-M4F)
 */
#ifndef REDS_COUNT_H
#define REDS_COUNT_H

#include <stdint.h>

/* Instructions that function(argument) executes, its return included, the call of it and the reading of the timer not. At most
 * 130 million, on some boards more: the timer has 32 bits. */
uint32_t reds_count(void (*function)(void *), void *argument);

/* The text comes on the standard error of QEMU. */
void reds_print(const char *text);
void reds_print_unsigned(uint32_t value);
void reds_print_signed(int32_t value);
void reds_print_hex(uint32_t value); /* 8 digits: the bits of a float, for instance */

/* Ends QEMU with this exit status; returning from main does the same. */
void reds_exit(int status) __attribute__((noreturn));

#endif
