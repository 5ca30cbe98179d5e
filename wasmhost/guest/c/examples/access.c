/* Lets the staff into the rooms that are theirs. It belongs to a path with the parameter "room". */
#include "../protoo.h"

PROTOO_MANIFEST({"name": "access", "events": ["request"], "fields": ["param:room", "peer"]})

/* The room "staff" is for the user "alice". */
static protoo_result protoo_handle(protoo_event event) {
	(void)event;
	protoo_text room = protoo_get_key(PROTOO_FIELD_PARAM, PROTOO_TEXT("room"));
	if (protoo_equal(room, PROTOO_TEXT("staff")) && !protoo_equal(protoo_username(), PROTOO_TEXT("alice")))
		return protoo_error(403, PROTOO_TEXT("staff only"));
	return protoo_next();
}
