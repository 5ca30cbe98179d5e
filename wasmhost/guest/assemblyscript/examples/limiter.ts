// Allows each user some requests in a minute.
import { Event, Outcome, add, serve, sum } from "../protoo";
export { protoo_abi_v1, protoo_init, protoo_buffer, protoo_on } from "../protoo";

const MOST: i64 = 3;
const MINUTE: i64 = 60_000;

serve((event: Event): Outcome => {
	if (add("requests/" + event.username, 1, MINUTE) != 0) return Outcome.fail("the store does not take the number");
	if (sum > MOST) {
		return Outcome.error(429, sum.toString() + " requests in a minute, at most " + MOST.toString() + " are allowed");
	}
	return Outcome.next();
});
