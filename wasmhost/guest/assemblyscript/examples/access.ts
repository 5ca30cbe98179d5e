// Lets the staff into the rooms that are theirs. It belongs to a path with the parameter "room".
import { Event, Field, Outcome, serve } from "../protoo";
export { protoo_abi_v1, protoo_init, protoo_buffer, protoo_on } from "../protoo";

// The room "staff" is for the user "alice".
serve((event: Event): Outcome => {
	if (event.get(Field.Param, "room") == "staff" && event.username != "alice") return Outcome.error(403, "staff only");
	return Outcome.next();
});
