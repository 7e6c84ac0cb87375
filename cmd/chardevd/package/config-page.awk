# Takes from the README and the reference what the page chardev.toml(5) is: all sections
# but those that are about something else. Tables become lists, which fit any terminal, and
# links to what is in the package what it is called there.

function where(text, to) {
	if (to ~ /^(chardev\/)?REFERENCE\.md/)
		return text == "REFERENCE.md" ? "\"Keys of the config file\" and \"Options of addresses\"" : "\"Options of addresses\""
	if (to ~ /^#/) {
		gsub(/-/, " ", to)
		return text == "below" ? "under \"" substr(to, 2) "\"" : text
	}
	sub(/.*\//, "", to)
	if (to ~ /\.toml$/)
		to = "examples/" to
	else if (to ~ /\.md$/)
		to = to ".gz"
	return "/usr/share/doc/chardevd/" to
}

!code && !/^```/ {
	while (match($0, /\[[^][]+\]\([^()]+\)/)) {
		link = substr($0, RSTART + 1, RLENGTH - 2)
		split(link, part, /\]\(/)
		$0 = substr($0, 1, RSTART - 1) where(part[1], part[2]) substr($0, RSTART + RLENGTH)
	}
}

/^```/ { code = !code }

!code && /^## / {
	wanted = !/^## (Installing|Two commands|How it works|Commands|In a browser|Connecting QEMU|Upgrades|Speed|License)/
}

!wanted { next }

!code && /^\|/ {
	sub(/^\| */, "")
	sub(/ *\|$/, "")
	n = split($0, cell, / *\| */)
	if (!rows++) {
		split($0, column, / *\| */)
		next
	}
	if (cell[1] ~ /^-+$/)
		next
	definition = ""
	for (i = 2; i <= n; i++) {
		if (cell[i] == "")
			continue
		if (column[i] != "")
			cell[i] = column[i] ": " cell[i]
		definition = definition (definition == "" ? "" : "; ") cell[i]
	}
	printf "%s\n: %s\n\n", cell[1], definition
	next
}

{
	rows = 0
	print
}
