/* Moves requests from an old path to a new one and marks the responses. */
#include "../protoo.h"

PROTOO_MANIFEST({
	"name": "rewriter",
	"events": ["request", "response", "returned"],
	"fields": ["path", "status", "data"]
})

/* Rewrites /old/... to /new/..., and shows the handlers behind it where the request came from. */
static protoo_result request(void) {
	protoo_text path = protoo_get(PROTOO_FIELD_PATH), old = PROTOO_TEXT("/old/");
	if (!protoo_has_prefix(path, old))
		return protoo_next();
	protoo_put(PROTOO_FIELD_PATH, PROTOO_JOIN(PROTOO_TEXT("/new/"), protoo_after(path, old.size)));
	protoo_put_key(PROTOO_FIELD_PROPERTY, PROTOO_TEXT("moved"), PROTOO_TEXT("true"));
	return protoo_end(PROTOO_ACTION_NEXT, PROTOO_FLAG_CHANGES | PROTOO_FLAG_WATCH | PROTOO_FLAG_RETURNED);
}

static protoo_result response(void) {
	protoo_text data = protoo_get(PROTOO_FIELD_DATA);
	if (!data.bytes)
		data = PROTOO_TEXT("null");
	protoo_put(PROTOO_FIELD_DATA, PROTOO_JOIN(PROTOO_TEXT("{\"data\":"), data, PROTOO_TEXT(",\"moved\":true,\"status\":"),
		protoo_decimal(protoo_get_number(PROTOO_FIELD_STATUS)), PROTOO_TEXT("}")));
	return protoo_end(PROTOO_ACTION_NEXT, PROTOO_FLAG_CHANGES);
}

static protoo_result returned(void) {
	if (protoo_get_number(PROTOO_FIELD_ENDED))
		return protoo_next();
	return protoo_reply(202, PROTOO_TEXT("somebody is still at it"));
}

static protoo_result protoo_handle(protoo_event event) {
	switch (event) {
	case PROTOO_EVENT_REQUEST:
		return request();
	case PROTOO_EVENT_RESPONSE:
		return response();
	case PROTOO_EVENT_RETURNED:
		return returned();
	default:
		return protoo_next();
	}
}
