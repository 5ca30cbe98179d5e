// Puts a manifest into the module: the JSON file that has the name of the module's source.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Transform } from "assemblyscript/transform";

const USER_ENTRY = 1; // SourceKind

export default class extends Transform {
	afterCompile(module) {
		const entry = this.program.sources.find(
			(source) => source.sourceKind === USER_ENTRY && !source.normalizedPath.startsWith("~lib/"), // the run-time system is one as well
		);
		const text = readFileSync(join(this.baseDir, entry.normalizedPath.replace(/\.ts$/, ".json")), "utf8");
		const manifest = JSON.stringify(JSON.parse(text));
		module.addCustomSection("protoo.manifest", new TextEncoder().encode(manifest));
	}
}
