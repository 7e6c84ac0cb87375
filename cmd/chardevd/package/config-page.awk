# Takes from the README what the page chardev.toml(5) is: all sections but those that
# are about something else; tables become lists, which fit any terminal.

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
