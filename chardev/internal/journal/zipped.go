package journal

func openZipped(f file) (source, error)                    { return nil, errDamaged }
func zippedSize(fs filesystem, name string) (int64, error) { return 0, errDamaged }
