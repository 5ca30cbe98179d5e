// Writes vectors.ndjson and folding.json, which core's tests read: what the
// router of Express 4 makes of patterns and paths, with path-to-regexp 0.1.13
// as the oracle. Run "npm ci && npm run make" after changing it.
//
// vectors.ndjson has one object per line:
//
//   pattern  a string, {"regexp": source, "flags": flags}, or an array of these
//   options  the sets of options that give these results: c for case-sensitive,
//            s for strict, e for end (a route; otherwise a mount)
//   paths    for each path null (no match), [n, params] (n bytes matched; the
//            params are left out when there are none), or the name of the param
//            that does not decode
//   error    instead of options and paths: "invalid" when 0.1.13 refuses the
//            pattern, "unsupported" when it does not but protoo must

import { writeFileSync } from 'node:fs';
import pathToRegexp from 'path-to-regexp';

const allOptions = ['', 'c', 's', 'cs', 'e', 'ce', 'se', 'cse'];

// match does what a layer of Express 4 does with a path, up to calling its
// handler. protoo is stricter about mounts, and so is this: they must match at
// the start of the path, and up to a slash or the end (Express also lets a dot
// follow). With several patterns, Express gives up on a mount when the first
// that matches does not match up to there; protoo, and this, try the others.
function match(pattern, options, path) {
	const end = options.includes('e');
	if (Array.isArray(pattern) && pattern.length > 1 && !end) {
		return pattern.map((one) => match([one], options, path)).find((result) => result !== null) ?? null;
	}
	const keys = [];
	const regexp = pathToRegexp(toExpress(pattern), keys, {
		sensitive: options.includes('c'), strict: options.includes('s'), end,
	});
	if (pattern === '/' && !end) {
		return [0];
	}
	if (pattern === '*') {
		return result(path, [[{ name: '0' }, path]]);
	}
	const found = regexp.exec(path);
	if (found === null) {
		return null;
	}
	const atBoundary = found[0] === '' || /^(\/|$)/.test(path.slice(found[0].length));
	if (!end && !(found.index === 0 && atBoundary)) {
		return null;
	}
	return result(found[0], found.slice(1).map((value, i) => [keys[i], value]));
}

function result(matched, values) {
	const params = {};
	for (const [key, value] of values) {
		if (value === undefined) {
			continue;
		}
		try {
			params[key.name] = decodeURIComponent(value);
		} catch {
			return String(key.name);
		}
	}
	const n = Buffer.byteLength(matched);
	return Object.keys(params).length > 0 ? [n, params] : [n];
}

function toExpress(pattern) {
	if (Array.isArray(pattern)) {
		return pattern.map(toExpress);
	}
	return typeof pattern === 'string' ? pattern : new RegExp(pattern.regexp, pattern.flags);
}

function compiles(pattern) {
	try {
		pathToRegexp(toExpress(pattern), [], {});
		return true;
	} catch {
		return false;
	}
}

const lines = [];
let count = 0;

function add(patterns, paths, optionSets = allOptions) {
	for (const pattern of patterns) {
		if (!compiles(pattern)) {
			addErrors('invalid', [pattern]);
			continue;
		}
		const groups = new Map();
		for (const options of optionSets) {
			const results = {};
			for (const path of new Set(paths)) {
				results[path] = match(pattern, options, path);
				count++;
			}
			const key = JSON.stringify(results);
			groups.set(key, [...(groups.get(key) ?? []), options]);
		}
		for (const [results, options] of groups) {
			lines.push(`{"pattern":${JSON.stringify(pattern)},"options":${JSON.stringify(options)},"paths":${results}}`);
		}
	}
}

function addErrors(error, patterns) {
	for (const pattern of patterns) {
		if (compiles(pattern) !== (error === 'unsupported')) {
			throw new Error(`${pattern}: not ${error}`);
		}
		lines.push(JSON.stringify({ pattern, error }));
		count++;
	}
}

// around returns paths like the given ones that differ in what options are
// about, or by a little.
function around(...paths) {
	return paths.flatMap((path) => [
		path, `${path}/`, `${path}//`, `${path}/more`, `${path}x`, `${path}.x`, `/x${path}`,
		path.slice(0, -1), path.toUpperCase(), path.replace(/.\//, '$&/'),
	]);
}

const long = 'a'.repeat(1990);

// Literals.
add(['', '/', '//', '/foo', '/foo/', '/foo//', '/foo/bar', '/foo//bar', '/FOO/Bar/', 'foo', 'foo/'],
	['', '/', '//', '///', 'foo', '/foo', '/foo/', '/foo//', '/foo///', '/foo/bar', '/foo//bar', '/foo/bar/', '/Foo/BAR',
		'/foo/bar/baz', '/foobar', '/fo', '/foo.bar', '/foo/.bar', '/bar/foo', '/ foo', '/foo%2Fbar', '/f%6Fo', '/foo?', '/foo#x', '/foo\n']);
add(['/a:', '/a::b', '/a:/b', '/:', '/:/x', '/a-b_c~d', '/a,b;c=d&e@f!g\'h"i', '/a%20b', '/a b', '/<a>', '/.', '/..', '/a.b', '/.well-known/x', '/a\\b'],
	['/', '/a:', '/a:b', '/a:x', '/a:/b', '/:', '/:/x', '/a-b_c~d', '/A-B_C~D', '/a,b;c=d&e@f!g\'h"i', '/a%20b', '/a b', '/A%20B', '/<a>', '/.', '/..',
		'/a.b', '/a.B', '/axb', '/.well-known/x', '/.well-known/x/y', '/b', '/a\\b', '/ab']);
add([`/${long}`, `/${long}/:id`, `/${'a/'.repeat(500)}`, '/:id', '/:a/:b?', '*', '/*', '/:a(a+)'],
	[`/${long}`, `/${long}/x`, `/${long}a`, `/${'a/'.repeat(500)}`, '/'.repeat(2000), `/${'a/'.repeat(999)}`, `/${'%61'.repeat(600)}`, `/${'%ff'.repeat(600)}`], ['', 'e']);

// Case: ASCII, beyond ASCII, and where the two must not meet.
add(['/k', '/s', '/K', '/\u212a', '/\u017f', '/i', '/\u0131', '/\u0130', '/å', '/\u212b', '/µ', '/\u03bc', '/σ', '/ß', '/straße', '/ǆ', '/\u1f80', '/\u1fb3', '/é', '/café/:x',
	'/k(x)?', '/\u212a(x)?', '/\u017f(x)?', '/[k](x)?', '/[^k](x)?', '/[a-z](x)?', '/å(x)?', '/[å](x)?', '/[^å](x)?', '/µ(x)?', '/σ(x)?', '/\u1f80(x)?', '/я/(я)'],
	['/k', '/K', '/\u212a', '/s', '/S', '/\u017f', '/i', '/I', '/\u0131', '/\u0130', '/å', '/Å', '/\u212b', '/µ', '/\u03bc', '/\u039c', '/σ', '/ς', '/Σ', '/ß', '/ẞ', '/ss', '/straße', '/STRASSE', '/STRAßE',
		'/ǆ', '/ǅ', '/Ǆ', '/\u1f80', '/\u1f88', '/\u1fb3', '/\u1fbc', '/é', '/É', '/e\u0301', '/café/X', '/CAFÉ/x', '/я/Я', '/Я/я'],
	['', 'c', 'e', 'ce']);

add(['/\\ud801\\udc28', '/\u{10428}', '/\u{10428}(x)?', '/:a\u{10428}:b', '/:a', '/:a\u{10428}'],
	['/\u{10400}', '/\u{10428}', '/\u{10428}x', '/\u{10400}X', '/x\u{10428}y', '/x\u{10428}\u{10428}', '/x\u{10400}\u{10428}'], ['', 'c', 'e', 'ce']);

// Optional and repeated characters, wildcards.
add(['/abc?d', '/ab+cd', '/ab*cd', '/ab.?cd', '/ab?', '/a+', '/+', '/+a', '/{2}a', '/a?*', '/^*', '/a+?', '/a??b', '/ab{2}c', '/ab{1,2}c', '/ab{2,}c', '/ab{,2}c', '/a{b', '/a}b', '/a]b', '/a{b}c', '/abc?d/:id'],
	around('/abcd', '/abd', '/abbcd', '/abXcd').concat('/', '/ab', '/a', '/aa', '/aaa', '/abc', '/abbc', '/abbbc', '/ab.cd', '/ab..cd', '/b', '/a{b', '/a}b', '/a]b', '/a{b}c', '/ab{,2}c', '/ab{2}c', '/abd/7'));
add(['*', '/*', '/a*', '*/a', '/*/a', '/*/*', '**', '/**', '/a*b*c', '*.*', '/*.*', '/files/*', '/files/*.*', '/files*', '/*?', '/a*?', '/*x?', '/files/*/x'],
	['', '/', '//', '/a', '/a/', '/b/a', '/a/b', '/a/b/c', '/abc', '/aXbYc', '/a.b', '/a.b.c', '/files', '/files/', '/files/a', '/files/a/b.txt', '/files/a/b/x', '/Files/A/', '/files.', '/filesystem',
		'/a%20b', '/a%2Fb/c', '/%', '/a/%zz', '/%C3%A9', '/%C3', '/%C0%AF', '/%ED%A0%80', '/%F4%90%80%80', '/files/%FF', '/a\nb', '/a\u2028b', '/a\n', 'x', 'a']);

// Groups.
add(['/ab(cd)?e', '/ab(cd)+e', '/ab(cd)*', '/a(b|c)d', '/a(?:|b)d', '/(a|b)', '/(a|b)/c', '/(a)(b)', '/x(a)(b)', '/x(a(b))', '/x(a(b)?)', '/x(a)?(b)?', '/x(a|(b))', '/x(a)|/y(b)', '/x|/y',
	'/x(\\d+)', '/x(\\d+)-(\\d+)', '/(\\d+)', '/x(?<n>\\d+)', '/x(?<n>\\d+)/:id', '/x(\\d{2,4})', '/x()', '/x()y', '/x(|y)z', '/x(a+)?', '/x(a)?', '/x(a*)?', '/x(a?)?', '/x(a){2}', '/x(a){0}', '/x([a-c]+)', '/x([^a-c/]+)', '/x(a|ab)(c|bcd)?', '/x(.+)', '/x(.+)/y'],
	['/abe', '/abcde', '/abcdcde', '/ab', '/abcd', '/abX', '/abd', '/acd', '/add', '/a', '/b', '/a/c', '/ab', '/b/c', '/x', '/xa', '/xb', '/xab', '/xaa', '/xaaa', '/x/xa', '/y', '/yb', '/q/yb', '/q/y', '/y/q', '/x/q', '/x12', '/x1-2', '/12', '/x12/7', '/x12345',
		'/xy', '/xz', '/xyz', '/xc', '/xabc', '/xabcd', '/xd', '/xD', '/xA', '/x.', '/x.b', '/x./y', '/xa/', '/xab/', '/x1-2/', '/', '', '/xa/y', '/x..', '/x.b.', '/xbcd']);

// Params.
add(['/:id', '/:id/', '/:id?', '/:id?/', '/:a/:b', '/:a/:b?', '/:a?/:b?', '/:a?/:b', '/:a/x/:b', '/:a/x/:b?', '/x/:a', '/x/:a?', '/x/:a?/y', '/:a/:a', '/:a/:a?', '/:constructor', '/:0', '/:0/(x)', '/:_a1', '/:a/:b/:c?/:d?', '//:a', '//:a?', '/:a//:b', '/:a//',
	':id', ':id?', '/x:id', '/x-:id', '/x-:id?', '/@:id', '/@:user/:id', 'x:id', '/::id', '/:a:b', '/:a:b?'],
	['', '/', '//', '///', '/x', '/x/', '/x//', '/X/', '/x/y', '/x/y/', '/x/y//', '/x/x/y', '/x/x/', '/x/x', '/a/x/b', '/a/X/b/', '/a/b/c', '/a/b/c/d', '/a/b/c/d/', '/a/b/c/d/e', '//x', '//x/', '/x//y', '/x//y/', '/xy', '/x-y', '/x-', '/x-y-z', '/@x', '/@', '/@x/7', '/:x', 'x', 'xy', 'x/',
		'/a%20b', '/a%2Fb/c%2fd', '/%E2%82%AC', '/%', '/%4', '/%zz', '/x/%zz', '/%zz/x', '/%E2%82', '/%C0%80', '/%ED%A0%80', '/%F0%9F%98%80', '/%F4%8F%BF%BF', '/%F4%90%80%80', '/%F8%88%80%80%80', '/%00', '/%25zz', '/+', '/é/ü', '/a\nb', '/a.b', '/..']);
add(['/:id(\\d+)', '/:id(\\d+)?', '/:id(\\d+)/x', '/x/:id(\\d+)', '/x/:id(\\d+)?', '/x/:id(\\d+)?y', '/x/:id(\\d+)-:b', '/:id([a-c]+)', '/:id(a|b)', '/:id(?:a|b)', '/:id((a|b))', '/:id(a(b))', '/:id(.*)', '/:id(.+)', '/:id(*)', '/:id(\\w+*)', '/:id(\\d*)', '/:id(\\d*)?', '/x:id(\\d*)?', '/:id()', '/:id([^/]+)',
	'/:id([0-9a-f]{4})', '/:id(\\d{1,3})/:b', '/:a(\\w+):b(\\d)', '/:a(\\w+)-:b', '/:id(\\S+)', '/:id(\\s+)', '/:id(\\W+)', '/:id(\\D+)', '/:id(\\D\\d)', '/:id(\\bx\\b)', '/:id(x\\B.+)', '/:id(.+?)', '/:a(.+?)/:b', '/:a(.+)/:b', '/:a([\\s\\S]+)', '/:a([^])', '/:a([])?', '/:a([\\b])'],
	['', '/', '/1', '/12', '/12/', '/12/x', '/x', '/x/', '/x/1', '/x/12', '/x/12/', '/x/12y', '/xy', '/x/y', '/x/1-2', '/a', '/b', '/c', '/A', '/abc', '/ab', '/a(b)', '/a)', '/.', '/.*', '/abcd', '/00ff', '/00FF', '/ab1', '/a-b', '/a-b-c', '/x1', '/x12', '/a/b/c', '/1/2', '/x/y/z', '/é', '/x é', '/\u00a0', '/\ufeff', '/\u0085', '/\u180e', '/\u2028', '/a\u2028b', '/\u0008', '/%2F', '/x%zz', '/12%', '/k\u212a', '/\n']);
add(['/:a-:b', '/:a-:b?', '/:a-:b-:c', '/:a--:b', '/:a--:b--:c', '/:a-to-:b', '/:a-to-:b-to-:c', '/:a-v:b.:c', '/:a_:b-:c', '/:a--:b-:c', '/:a-:b--:c', '/:a~:b', '/:a\\.:b', '/:a\\-:b', '/:a\\-\\-:b', '/:a-\\.x:b', '/:a%20:b', '/:a@:b', '/:ab:b', '/:a-(x):b', '/:a(\\d+)x:b', '/:a(\\d+)-:b(\\d+)', '/:a-x?:b', '/:a-+:b', '/:a-?:b', '/x*-:b', '/x*--:b', '/:a-:b*', '/:aé:b', '/:a-é:b', '/:a-😀:b', '/:a😀:b', '/p:a-p:b', '/pq+:a', '/p?q:a', '/p(q|r)-:b', '/p[qr]:a', '/p-:a', '/p-:a-:b', '/:a.x:b', '/:a-.:b', '/:a-[xy]:b', '/:a-{2}:b'],
	['/', '/a-b', '/a-b/', '/a-b/c', '/a-', '/-b', '/-', '/--', '/---', '/a--b', '/a---b', '/a--b-', '/a--b-/', '/a--b--c', '/a--b-c', '/a-b--c', '/a--b--', '/a-b-c', '/a-b-c-d', '/A-TO-B', '/a-to-b', '/a-to-b-to-c', '/a-to-b-t', '/a-to-b-to', '/a-to-to-b', '/a-v1.2', '/a-V1.2', '/a-b-v1.2.3', '/a_b-c', '/a~b', '/a.b', '/a.b.c', '/a-.xb', '/a..xb', '/a%20b', '/a%20b%20c', '/a@b', '/xbb', '/xaab', '/aby', '/a-xy', '/a-x', '/1xb', '/1x', '/1-2', '/12-34/', '/x-b', '/x/y-b', '/x--b', '/xa-b-c', '/x1--2', '/aéb', '/AÉB', '/aéé', '/a-éb', '/a-ÉB', '/a-éb-é', '/a😀b', '/a-😀b', '/a-😀b😀', '/p1-p2', '/P1-P2', '/p-1', '/pqq1', '/q1', '/pq-1', '/pr-x/', '/p-1-2', '/a.xb', '/a.xb.x', '/a-.b', '/a.-.b', '/a-b\n', '/a--b\u2028', '/a-xb-y', '/a-b%zz', '/%zz-b']);

add(['/x(?!y)z*', '/x(?!yz)[y](?!a|[bc]d)[a-d]', '/:a(b|c)d:e[fg]h:i', '/:a[bc]d:e', '/:a-b+c:d', '/m(?:-d)?/.-:x', '/v(\\d)-:x', '/v(\\d+)-:x', '/v(\\d+)-:x--:y', '/v(a|bc)_:x', '/v.1-:x', '/:a(?:-?_):x', '/:a--:b-+_:c', '/:a-(é|ü)+-:b', '/x:a-(?:b-)*c:d', '/x((?:(?!ab|[xy]z?|c+d)[^/])+)', '/x((?!b)\\w(?!cd)\\w)y?', '/((?!ab)[^/](?!ab)[^/])', '/x((?!ab)[^/](?!ab)[^/])+'],
	['/', '/xz', '/xy', '/xya', '/xyb', '/xybd', '/xyzb', '/xyz', '/xyd', '/ab', '/bd', '/bdeghi', '/cdefhi', '/bde-fhi', '/xbdy', '/xcdye', '/xbdyghghz', '/bbdd', '/xbde', '/a-bcd', '/a-bbcd-bbc', '/a-bcd-bx', '/a-bc-b-bc', '/m-d/.-x', '/m/.-x', '/m/x-1.m/2-3', '/m/.-.m/.-', '/m-d/x-.m-d/.-', '/m-d/--.m-d/--y',
		'/v1-2', '/v1-12-', '/v1-1-', '/v12-3', '/v12-34-5', '/v12-a1-2', '/v1-x--y', '/v1-11-x--y', '/va_x', '/vbc_bc', '/vbc_bc_', '/va_xa_', '/vBC_xBC_y', '/v.1-v', '/v.1-1-', '/v.1-.1-', '/x1-', '/a_b', '/a-_b', '/a--b-_c', '/a--b--_c', '/a--b-_c-_d', '/a--b---_c', '/a-é-b', '/a-éüé-É-b', '/a-é-b-ü', '/a-é-b-ü-', '/xq-b-b-cz', '/xq-cz-b-c', '/xq-cz-b-', '/xq-cc',
		'/pqr', '/pab', '/abp', '/xp', '/px', '/ypz', '/qacd', '/qcd', '/bcd', '/acd', '/abcd', '/aab', '/caab', '/xqqab', '/xqx', '/xqxy', '/xqa', '/xqay', '/xqccce', '/xqcccd', '/xqc', '/xqab', '/xqaqb', '/xqaab', '/xpqpq', '/xpqpa', '/xpqp', '/a😀ab', '/😀ab', '/é-bcé'], ['', 'e', 'ce']);

// Formats, and the star after a param.
add(['/:a.:b', '/:a.:b?', '/:a.json', '/:a.:format(json|xml)', '/x.:format', '/x.:format?', '/.:a', '/x/.:a', '/:a.:b.:c', '/:a.b:c', '.:a', '/x.*', '/x.:a*', '/:a.', '/:a.+', '/x\\.:a', '/x\\.y', '/x.y', '/:a.:b-:c'],
	around('/a.b', '/x.json', '/a.json', '/a.xml').concat('/', '/.', '/.a', './a', '.a', '/x', '/x.', '/x/.a', '/a.b.c', '/a.b.c.d', '/a..b', '/a.b/c', '/a.bc', '/a.bcd', '/x.a.b', '/x.a/b', '/x.y', '/xzy', '/a.b-c', '/a.json%zz'));
add(['/:a*', '/:a*?', '/x/:a*', '/x/:a*/y', '/:a(\\d+)*', '/:a+', '/x/:a+', '/:a+/y', '/:a(\\d+)+', '/:a{2}', '/:a*/:b', '/:a(\\w)*?', '/x:a*'],
	['', '/', '//', '/a', '/a/', '/a/b', '/a/b/', '/a/b/c', '/a//b', '/x', '/x/', '/x/a', '/x/a/', '/x/a/b', '/x/a/y', '/x/a/b/y', '/x/y', '/1', '/1/2', '/12/34/x', '/xa', '/xa/b', '/a/y', '/a/b/y', '/a%20/b%2Fc', '/a/%zz', '/%zz/b']);

// Unnamed groups around named ones, and parentheses that only look like groups.
add(['/(\\d+)/:id', '/:id/(\\d+)', '/x(\\d)/:id/y(\\d)', '/*/:id', '/:id/*', '/*/:id/*', '/x(\\d)?/:id?/(y)?', '/:id(\\d+)/(y)', '/x(:id)', '/x(:id)?', '/x(-:id)?', '/x(/:id)?', '/x(/:a(/:b)?)?', '/(:a)/(:b)', '/x(y)(/:a)?', '/:a(b)?', '/x[(](y)', '/:a([(]+)(y)?', '/x\\((y)\\)', '/:a(\\(x\\))', '/x(?:y)(z)', '/(?:y)(z)', '/x/(?:y)/(z)', '/(a)\\(:b', '/x(a)\\.:b', '/x.(a).:b', '/x*(a):b', '/0*:a/*'],
	['', '/', '/1/2', '/1/a', '/a/1', '/x1/a/y2', '/x1', '/x1/a', '/x1/a/y', '/x/a/y', '/x/a', '/x//y', '/x', '/xa', '/xab', '/x-a', '/x-a-b', '/x/a/b', '/x/a/b/', '/x/a/b/c', '/a/b', '/a/b/c', '/a/b/c/d', '/xy', '/xy/a', '/12/y', '/y', '/yz', '/xyz', '/x(y', '/x(y)', '/(x)', '/((y', '/(', '/x/y/z', '/a(b', '/xa.b', '/x.a.b', '/xqab', '/0q/a', '/0a/b/c', '/X-A', '/x-%zz', '/ab']);

// Escapes.
add(['/a\\?b', '/a\\*b', '/a\\+b', '/a\\(b\\)', '/a\\:b', '/\\:id', '/a\\.b', '/a\\/b', '/a\\\\b', '/a\\d', '/a\\D', '/a\\w+', '/a\\W', '/a\\sb', '/a\\S', '/a\\tb', '/a\\x41', '/a\\u0041', '/a\\u00e9', '/a\\xe', '/a\\u41', '/a\\0', '/a\\1', '/a\\101', '/a\\400', '/a\\377', '/a\\8', '/a\\cJb', '/a\\c', '/a\\-b', '/a\\_', '/a\\k', '/a\\p', '/a[\\d-x]', '/a[+--]', '/a[\\]x]', '/a[\\cJ\\c1]', '/a[\\c]', '/a[\\101-\\103]', '/a[\\0]', '/a[a\\-c]', '/a[^\\W]', '/a[^\\s\\S]', '/a[\\x41-\\u0043]', '/a[\\8]', '/a\\é', '/a\\bb', '/a\\B', '/^a', '/a$', '/^/a'],
	['/a?b', '/ab', '/aab', '/a*b', '/a+b', '/a(b)', '/a:b', '/:id', '/x', '/a.b', '/axb', '/a/b', '/a\\b', '/a\\', '/a1', '/ax', '/ad', '/a-', '/a b', '/a\tb', '/a\u00a0b', '/a\u0085b', '/aA', '/aa', '/a\u00e9', '/a\u00c9', '/axe', '/au41', '/a\0', '/a\u0001', '/a8', '/a 0', '/a\u00ff', '/a\nb', '/a\n', '/a\\c', '/ac', '/a-b', '/a_', '/ak', '/ap', '/a+', '/a,', '/a]', '/a\u0011', '/aB', '/aC', '/a', '/a/', '/aé', '/ab/', '/']);
add(['/a\\'], ['/a', '/a/', '/a\\', '/a$', '/a//'], ['', 'c', 'e', 'ce', 'se', 'cse']); // a strict mount is invalid

// Arrays.
add([['/a', '/b'], ['/'], ['*'], ['/', '/x'], ['/:id', '/x/:y'], ['/x/:y', '/:id'], ['/a/:x?', '/b/:y(\\d+)', '/c*'], ['/(a)', '/(b)/(c)', '/:d/x/y'], ['/abcd', '/xyza', { regexp: '^\\/lmn|^\\/pqr', flags: '' }], ['/:a-:b', '/:a--:b'], [['/a', ['/b']], '/c']],
	around('/a', '/b', '/x/y', '/abcd', '/lmn', '/pqr').concat('', '/', '//', '/c', '/b/7', '/b/q', '/b/c', '/a/q', '/cd/e', '/q/x/y', '/1-2', '/1--2', '/xyza', '/%zz', '/x/%zz'),
	['c', 'cs', 'ce', 'cse']);

// The application's own regular expressions: only those that mean the same to Go.
const regexps = ['\\/abc|\\/xyz', '^\\/abc', '^\\/abc$', 'abc', '\\/(abc)', '^\\/(\\w+)(?:\\/(\\d+))?$', '^\\/(?<name>\\w+)', '^\\/(?<a>\\w+)\\/(x)\\/(?<b>\\w+)', '(a)(b)?(c)', '\\/(?:a|b)(c)', 'x*', '$', '\\/$', '^\\/([^/]*)', '^\\/(%[0-9a-z]*)', '\\/a\\(b', 'b(\\d*)'];
add(regexps.flatMap((regexp) => [{ regexp, flags: '' }, { regexp, flags: 'i' }]),
	['', '/', '//', '/abc', '/ABC', '/abc/', '/abcd', '/abc/d', '/xyz', '/xyz/abc', '/x/abc', '/abc.d', '/word/12', '/word/x', '/a/x/b', '/a/x/b/c', '/ac', '/abc/c', '/bc', '/bc/d', '/xx', '/x', '/%zz', '/%41', '/%C3%A9/x', '/a(b', '/b12', '/b', '/b/1'],
	['', 'e', 'se', 'c']);

// Patterns put together at random, and paths that nearly fit them.
{
	let state = 20150401;
	const random = (n) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor(state / 2 ** 32 * n);
	};
	const pick = (list) => list[random(list.length)];
	const pieces = [
		['/', ['/', '//', '']], ['/', ['/', '/']], ['/', ['/']], ['a', ['a', 'A', 'b']], ['b', ['b', '']], ['é', ['é', 'É']], ['-', ['-', '--', '_']], ['--', ['--', '-', '---']], ['.', ['.', 'x']], ['_x_', ['_x_', '_x', '__x_']],
		['/:p', ['/1', '/ab', '/', '/x-y']], ['/:q', ['/2', '/b', '/%41']], [':r', ['3', 'a-b', '']], ['/:s?', ['/4', '', '/']], ['/:t(\\d+)', ['/5', '/56', '/x']], ['/:u(\\d+)?', ['/6', '']], [':v([ab]+)', ['a', 'ba', 'c']], ['.:w', ['.w', '.', 'w']], ['-:x', ['-x', '-', '-x-']], ['/:y*', ['/7', '/7/8', '/']],
		['*', ['', 'z', '/z/', 'a-b']], ['/*', ['/', '/z']], ['ab?', ['a', 'ab', 'abb']], ['/a+', ['/a', '/aa', '']], ['(a)', ['a', 'b']], ['(ab)?', ['ab', '', 'a']], ['(a|b)', ['a', 'b', 'c']], ['/(c)', ['/c', '/']], ['mn', ['mn', 'm', 'M']], ['\\.', ['.', 'x']], ['(\\d)', ['1', 'x']],
	];
	for (let i = 0; i < 2000; i++) {
		const chosen = [pieces[0], ...Array.from({ length: 1 + random(5) }, () => pick(pieces))];
		const pattern = chosen.map(([text]) => text).join('');
		const paths = Array.from({ length: 5 }, () => chosen.map(([, texts]) => random(3) ? texts[0] : pick(texts)).join('') + pick(['', '', '', '/', 'x', '/x', '//']));
		const sets = [pick(allOptions), pick(allOptions)];
		add([pattern], paths, [...new Set(sets)]);
	}
}

addErrors('invalid', ['/(', '/)', '/a(', '/a)', '/a(b', '/a(b))', '/[', '/a[b', '/a[z-a]', '/a++', '/?a+?+', '/a{2}{3}', '/x{2,1}', '+', '?', '{1}', '/x({1})', '/x(|+)', '/(?a)', '/x(?a)', '/x(?<>a)', '/x(?<a>b)(?<a>c)', '/x(?<1>b)', '/:a(?)', '/:a(', '/:a([)])', '/(x)-:b', '/a(b-:c)', '/x(?<a>b)\\k<c>', '/^+', '/x\\b+', '/x$?']);
addErrors('unsupported', ['/x(?=y)', '/:a(?=b)', '/x(?!y)', '/x(?!y).+', '/:a(?!b)', '/x(?<=y)', '/x(?<!y)', '/x(a)\\1', '/x\\1(a)', '/:a/\\1', '/x(?<n>a)\\k<n>', '/x(a?)+', '/x(?:|a)+', '/*+', '/x(?:-?_?)+', '/x(?:(a)?b)+', '/x(?:(a)|b)+', '/x(?:(a)?b){2}', '/x\\ud83d', '/x[😀]', '/x[^😀]', '/x[\\ud83d]', '/x[\\ud83d-\\udfff]', '/x😀+', '/x😀?',
	`/x(${'a{1000}'.repeat(11)})`, '/x(?:-{40}){40}', '/xa{1001}', `/x${'(?:'.repeat(201)}${')'.repeat(201)}`, `/${'a'.repeat(2048)}`, '/:a-a:b-b:c-c:d-d:e-e:f-f:g-g:h']);

writeFileSync(new URL('vectors.ndjson', import.meta.url), lines.join('\n') + '\n');

// folding.json has, for every UTF-16 code unit that is not the one standing for
// all that equal it when case is ignored, that one.
const folding = {};
for (let unit = 0; unit <= 0xffff; unit++) {
	const c = String.fromCharCode(unit);
	const upper = c.toUpperCase();
	if (upper.length === 1 && upper !== c && !(unit >= 128 && upper.charCodeAt(0) < 128)) {
		if (!new RegExp(`^\\u${unit.toString(16).padStart(4, '0')}$`, 'i').test(upper)) {
			throw new Error(`${unit.toString(16)} does not fold`);
		}
		folding[c] = upper;
	}
}
writeFileSync(new URL('folding.json', import.meta.url), JSON.stringify({ unicode: process.versions.unicode, folding }) + '\n');
console.log(`${count} vectors`);
