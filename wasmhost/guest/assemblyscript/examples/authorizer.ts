// Decides who may connect, by a token in the query of the form "name:secret".
import { Event, Field, Outcome, serve } from "../protoo";
export { protoo_abi_v1, protoo_init, protoo_buffer, protoo_on } from "../protoo";

// The secret is "sesame".
serve((event: Event): Outcome => {
	const token = event.get(Field.Query, "token");
	const colon = token.indexOf(":");
	if (colon < 0 || token.substring(colon + 1) != "sesame") return Outcome.error(401, "wrong token");
	return Outcome.accept(token.substring(0, colon), event.get(Field.Query, "uuid")).peerData("role", '"user"');
});
