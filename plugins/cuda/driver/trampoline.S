//go:build cuda && linux && (amd64 || arm64)

/* One jump for every function of names.h, through a slot that driver.c fills before the program begins. They are
   hidden: the driver's own calls of its functions must not come here. */
#if defined(__x86_64__)
#define JUMP(name) endbr64; jmp *troupe_slot_##name(%rip)
#elif defined(__aarch64__)
#define JUMP(name) adrp x16, troupe_slot_##name; ldr x16, [x16, #:lo12:troupe_slot_##name]; br x16
#endif

#define NAME(name) \
	.text; .globl name; .hidden name; .type name, %function; name: JUMP(name); .size name, .-name; \
	.bss; .balign 8; .globl troupe_slot_##name; .hidden troupe_slot_##name; troupe_slot_##name: .skip 8;

#include "names.h"

.section .note.GNU-stack, "", %progbits
