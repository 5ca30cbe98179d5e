/* Allows each user some requests in a minute. */
#include "../protoo.h"

PROTOO_MANIFEST({"name": "limiter", "events": ["request"], "fields": ["peer"], "capabilities": ["kv"]})

enum { MOST = 3, MINUTE = 60000 };

static protoo_result protoo_handle(protoo_event event) {
	(void)event;
	int64_t count;
	if (protoo_add(PROTOO_JOIN(PROTOO_TEXT("requests/"), protoo_username()), 1, MINUTE, &count) != 0)
		return protoo_fail(PROTOO_TEXT("the store does not take the number"));
	if (count > MOST)
		return protoo_error(429, PROTOO_JOIN(protoo_decimal(count), PROTOO_TEXT(" requests in a minute, at most "),
			protoo_decimal(MOST), PROTOO_TEXT(" are allowed")));
	return protoo_next();
}
