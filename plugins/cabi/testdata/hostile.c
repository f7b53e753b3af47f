/* A library with one fault, which the environment names: for the tests of the host. */
#include "troupe_kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct troupe_library {
	char unused;
};
struct troupe_kernel {
	char unused;
};

static struct troupe_library library;
static struct troupe_kernel kernel;

static int is(const char *fault) {
	const char *name = getenv("HOSTILE");
	return name && strcmp(name, fault) == 0;
}

#ifndef NO_ABI
uint32_t troupe_abi(void) { return is("abi") ? 7 : TROUPE_ABI; }
#endif

int troupe_describe(troupe_info *info, troupe_error *err) {
	static const uint32_t ops[] = {TROUPE_ADD, TROUPE_ADD, 77};
	static char longest[100000];
	if (is("describe fails")) {
		strcpy(err->text, "no card\n\tfound");
		return 3;
	}
	info->name = is("no name") ? NULL : is("name with =") ? "a=b" : is("empty name") ? "" : "hostile";
	info->doc = is("no doc") ? NULL : is("two lines") ? "a\nb" : "test";
	info->version = is("not UTF-8") ? "\xff\xfe" : "1";
	if (is("long version")) info->version = memset(longest, 'v', sizeof longest - 1);
	info->needs = is("escape") ? "\x1b[2J" : NULL;
	info->ops = is("NULL ops") ? NULL : is("unknown op") ? ops + 2 : ops;
	info->num_ops = is("no ops") ? 0 : is("op twice") ? 2 : is("many ops") ? 0xffffffff : 1;
	info->promise = is("promise") ? 9 : 0;
	info->score = is("score") ? 0xffffffff : 1;
	return TROUPE_OK;
}

int troupe_open(const troupe_threads *threads, troupe_library **lib, troupe_error *err) {
	if (threads->decode < 1 || is("open fails")) {
		memset(err->text, 'x', sizeof err->text); /* no end */
		return TROUPE_FAILED;
	}
	*lib = is("open gives nothing") ? NULL : &library;
	return TROUPE_OK;
}

int troupe_compile(troupe_library *lib, const troupe_segment *segment, troupe_kernel **k, troupe_error *err) {
	(void)lib, (void)segment;
	if (is("compile fails")) {
		*k = &kernel; /* not handed over: it must not be given back */
		strcpy(err->text, "shape");
		return -1;
	}
	if (is("no kernel")) return TROUPE_NO_KERNEL;
	*k = is("compile gives nothing") ? NULL : &kernel;
	return TROUPE_OK;
}

int troupe_run(troupe_kernel *k, const troupe_frame *frame, troupe_error *err) {
	(void)k, (void)frame;
	if (is("run fails")) {
		strcpy(err->text, "device \xff lost");
		return 5;
	}
	volatile uintptr_t nowhere = 16;
	if (is("crash")) *(volatile int *)nowhere = 1;
	if (is("abort")) abort();
	return is("run fails silently");
}

void troupe_free(troupe_kernel *k) {
	(void)k;
	FILE *count = getenv("HOSTILE_FREES") ? fopen(getenv("HOSTILE_FREES"), "a") : NULL; /* a byte for each */
	if (!count) return;
	fputc('.', count);
	fclose(count);
}

void troupe_close(troupe_library *lib) { (void)lib; }
