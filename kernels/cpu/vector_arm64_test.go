//go:build !purego

package cpu

func init() { vectorTables["neon"] = &neonVectors }
