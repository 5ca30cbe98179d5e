// Moves requests from an old path to a new one and marks the responses.
import { Event, Field, Kind, Outcome, join, serve, utf8 } from "../protoo";
export { protoo_abi_v1, protoo_init, protoo_buffer, protoo_on } from "../protoo";

serve((event: Event): Outcome => {
	switch (event.kind) {
		case Kind.Request:
			return request(event);
		case Kind.Response:
			return response(event);
		case Kind.Returned:
			if (event.number(Field.Ended) == 0) return Outcome.reply(202, "somebody is still at it");
	}
	return Outcome.next();
});

// Rewrites /old/... to /new/..., and shows the handlers behind it where the request came from.
function request(event: Event): Outcome {
	const path = event.get(Field.Path);
	if (!path.startsWith("/old/")) return Outcome.next();
	return Outcome.next().path("/new/" + path.substring(5)).property("moved", "true").watch().returned();
}

function response(event: Event): Outcome {
	let data = event.bytes(Field.Data);
	if (data.byteLength == 0) data = utf8("null");
	const rest = ',"moved":true,"status":' + event.number(Field.Status).toString() + "}";
	return Outcome.next().dataBytes(join([utf8('{"data":'), data, utf8(rest)]));
}
