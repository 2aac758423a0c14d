// Marks the module root only; the build uses v1.35.mod or v1.36.mod (-modfile).
module control-plane

go 1.26
