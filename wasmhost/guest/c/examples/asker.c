/* Puts a request to another user and answers with what that one says. It belongs to a path with the parameters "username" and
 * "uuid": whom to ask. */
#include "../protoo.h"

PROTOO_MANIFEST({
	"name": "asker",
	"events": ["request", "reply"],
	"fields": ["param", "data", "status", "reason", "peer"],
	"capabilities": ["peer.read", "peer.send", "async"]
})

static protoo_result ask(void) {
	protoo_text username = protoo_get_key(PROTOO_FIELD_PARAM, PROTOO_TEXT("username"));
	protoo_text uuid = protoo_get_key(PROTOO_FIELD_PARAM, PROTOO_TEXT("uuid"));
	if (protoo_peers(username, uuid) == 0)
		return protoo_error(404, PROTOO_TEXT("nobody to ask"));
	if (protoo_progress(100, PROTOO_TEXT("asking")) != 0)
		return protoo_fail(PROTOO_TEXT("the peer cannot be told to wait"));
	protoo_text question = protoo_get(PROTOO_FIELD_DATA);
	if (question.bytes)
		protoo_put(PROTOO_FIELD_DATA, question);
	switch (protoo_send(username, uuid, PROTOO_TEXT("question"), PROTOO_TEXT("/questions"))) {
	case 0:
		return protoo_pending();
	case PROTOO_ABSENT:
		return protoo_error(410, PROTOO_TEXT("peer offline"));
	default:
		return protoo_fail(PROTOO_TEXT("the question cannot be sent"));
	}
}

static protoo_result answer(void) {
	uint32_t status = protoo_get_number(PROTOO_FIELD_STATUS);
	protoo_text reason = protoo_get(PROTOO_FIELD_REASON);
	if (status < 200)
		return protoo_pending();
	if (status >= 300)
		return protoo_error(status, reason);
	protoo_text data = protoo_get(PROTOO_FIELD_DATA);
	if (data.bytes)
		protoo_put(PROTOO_FIELD_DATA, data);
	return protoo_reply(200, PROTOO_JOIN(protoo_username(), PROTOO_TEXT(" says \""), reason, PROTOO_TEXT("\"")));
}

static protoo_result protoo_handle(protoo_event event) {
	return event == PROTOO_EVENT_REQUEST ? ask() : answer();
}
