/* Decides who may connect, by a token in the query of the form "name:secret". */
#include "../protoo.h"

PROTOO_MANIFEST({"name": "authorizer", "events": ["connect"], "fields": ["query:token", "query:uuid"]})

/* The secret is "sesame". */
static protoo_result protoo_handle(protoo_event event) {
	(void)event;
	protoo_text name, secret;
	protoo_cut(protoo_get_key(PROTOO_FIELD_QUERY, PROTOO_TEXT("token")), ':', &name, &secret);
	if (!protoo_equal(secret, PROTOO_TEXT("sesame")))
		return protoo_error(401, PROTOO_TEXT("wrong token"));
	protoo_put_key(PROTOO_FIELD_PEER, name, protoo_get_key(PROTOO_FIELD_QUERY, PROTOO_TEXT("uuid")));
	protoo_put_key(PROTOO_FIELD_PEER_DATA, PROTOO_TEXT("role"), PROTOO_TEXT("\"user\""));
	return protoo_end(PROTOO_ACTION_REPLY, 0);
}
