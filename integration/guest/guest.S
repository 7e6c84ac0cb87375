# A guest in one boot sector: what the tests put behind a console.
#
# Assembled plainly it is the COUNTER: it prints a line per count on COM1,
# "%08x\r\n" from 00000000 on, as fast as the UART takes it (it polls THRE and
# never sleeps). Between two lines it prints, for each byte typed at it, a line
# "+hh\r\n" with the byte in hexadecimal, which no counter line can be taken for.
#
# With --defsym PACED=1 it is a counter as slow as a line of 115200 Bd makes it,
# which QEMU's UART does not: by the timer it prints 10 lines of 10 bytes 115 times
# a second, and sleeps in between. Who holds it up for longer than two ticks takes
# lines from it, which it does not make up for.
#
# With --defsym ECHO=1 it is the ECHO: it prints "ECHO READY\r\n", then sends
# back each byte as it comes and sleeps in between (HLT until the UART's
# interrupt), so that it costs nothing while nobody types.
#
#   as --32 [--defsym ECHO=1 | --defsym PACED=1] -o guest.o guest.S
#   ld -m elf_i386 -Ttext=0x7c00 --oformat binary -o guest.img guest.o
#   qemu-system-x86_64 -accel tcg -drive file=guest.img,format=raw,if=ide ...
#
# A byte that arrives before the FIFO is switched on is lost (the reset of FCR),
# so type only after the first output.
	.set	COM1, 0x3f8
	.set	THR, COM1			# transmit, receive
	.set	IER, COM1 + 1
	.set	FCR, COM1 + 2
	.set	LCR, COM1 + 3
	.set	MCR, COM1 + 4
	.set	LSR, COM1 + 5
	.set	TICK, 10357			# of 1193182 Hz: the time of 10 lines

	.code16
	.globl	_start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	ljmp	$0, $setup			# some BIOSes enter with cs = 0x07c0
setup:
	movw	$LCR, %dx
	movb	$0x80, %al			# DLAB: the divisor
	outb	%al, %dx
	movw	$COM1, %dx
	movb	$1, %al				# 115200 Bd
	outb	%al, %dx
	incw	%dx
	xorb	%al, %al
	outb	%al, %dx
	movw	$LCR, %dx
	movb	$3, %al				# 8N1
	outb	%al, %dx
	movw	$FCR, %dx
	movb	$7, %al				# FIFOs on and empty, trigger at 1
	outb	%al, %dx
	movw	$MCR, %dx
	movb	$0x0b, %al			# DTR RTS OUT2
	outb	%al, %dx

.ifdef ECHO
	movw	$irq4, 0x0c * 4			# the BIOS left IRQ0-7 at vectors 8-15
	movw	$0, 0x0c * 4 + 2
	movb	$0xef, %al			# only IRQ4
	outb	%al, $0x21
	movb	$0xff, %al
	outb	%al, $0xa1
	movw	$IER, %dx
	movb	$1, %al				# interrupt when data are there
	outb	%al, %dx
	movw	$hello, %si
1:	lodsb
	testb	%al, %al
	jz	2f
	call	putc
	jmp	1b
2:	cli					# no interrupt between the look and the hlt
	call	getc
	jc	3f
	call	putc
	jmp	2b
3:	sti
	hlt
	jmp	2b

irq4:	pushw	%ax
	movb	$0x20, %al			# end of interrupt; the main loop reads
	outb	%al, $0x20
	popw	%ax
	iret
hello:	.asciz	"ECHO READY\r\n"
.else
	movw	$IER, %dx
	xorb	%al, %al
	outb	%al, %dx
	xorl	%ebx, %ebx			# the count
.ifdef PACED
	xorl	%ebp, %ebp			# lines that are to be printed
	movw	$irq0, 0x08 * 4			# the BIOS left IRQ0-7 at vectors 8-15
	movw	$0, 0x08 * 4 + 2
	movb	$0x34, %al			# timer 0: low byte, high byte, rate generator
	outb	%al, $0x43
	movb	$TICK & 255, %al
	outb	%al, $0x40
	movb	$TICK >> 8, %al
	outb	%al, $0x40
	movb	$0xfe, %al			# only IRQ0
	outb	%al, $0x21
	movb	$0xff, %al
	outb	%al, $0xa1
.endif
count:
.ifdef PACED
3:	cli					# no interrupt between the look and the hlt
	testl	%ebp, %ebp
	jnz	4f
	sti
	hlt
	jmp	3b
4:	decl	%ebp
	sti
.endif
	movl	%ebx, %edi
	movb	$8, %cl
1:	roll	$4, %edi
	movw	%di, %ax
	call	digit
	decb	%cl
	jnz	1b
	call	newline
	incl	%ebx
2:	call	getc
	jc	count
	movb	%al, %ch
	movb	$'+', %al
	call	putc
	movb	%ch, %al
	shrb	$4, %al
	call	digit
	movb	%ch, %al
	call	digit
	call	newline
	jmp	2b

.ifdef PACED
irq0:	addl	$10, %ebp
	pushw	%ax
	movb	$0x20, %al			# end of interrupt
	outb	%al, $0x20
	popw	%ax
	iret
.endif

newline:
	movb	$'\r', %al
	call	putc
	movb	$'\n', %al
	jmp	putc

digit:	andb	$15, %al			# the low four bits of al
	cmpb	$10, %al
	jb	1f
	addb	$'a' - '0' - 10, %al
1:	addb	$'0', %al
	# falls into putc
.endif

putc:	movb	%al, %ah			# al, as soon as the UART takes it
	movw	$LSR, %dx
1:	inb	%dx, %al
	testb	$0x20, %al
	jz	1b
	movb	%ah, %al
	movw	$THR, %dx
	outb	%al, %dx
	ret

getc:	movw	$LSR, %dx			# al = the next byte typed; carry: none
	inb	%dx, %al
	shrb	$1, %al
	cmc
	jc	1f
	movw	$THR, %dx
	inb	%dx, %al
	clc
1:	ret

	.org	510
	.word	0xaa55
