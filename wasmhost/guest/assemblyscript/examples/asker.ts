// Puts a request to another user and answers with what that one says. It belongs to a path with the parameters
// "username" and "uuid": whom to ask.
import { ABSENT, Event, Field, Kind, Message, Outcome, peers, progress, serve } from "../protoo";
export { protoo_abi_v1, protoo_init, protoo_buffer, protoo_on } from "../protoo";

serve((event: Event): Outcome => (event.kind == Kind.Request ? ask(event) : answer(event)));

function ask(event: Event): Outcome {
	const username = event.get(Field.Param, "username");
	const uuid = event.get(Field.Param, "uuid");
	if (peers(username, uuid) == 0) return Outcome.error(404, "nobody to ask");
	if (progress(100, "asking") != 0) return Outcome.fail("the peer cannot be told to wait");
	switch (new Message(username, uuid, "question", "/questions").data(event.bytes(Field.Data)).send()) {
		case 0:
			return Outcome.pending();
		case ABSENT:
			return Outcome.error(410, "peer offline");
		default:
			return Outcome.fail("the question cannot be sent");
	}
}

function answer(event: Event): Outcome {
	const status = event.number(Field.Status);
	const reason = event.get(Field.Reason);
	if (status < 200) return Outcome.pending();
	if (status >= 300) return Outcome.error(status, reason);
	const reply = Outcome.reply(200, event.username + ' says "' + reason + '"');
	const data = event.bytes(Field.Data);
	return data.byteLength == 0 ? reply : reply.dataBytes(data);
}
