// Marks the module root only; a build uses the file of a version (-modfile).
module control-plane

go 1.26
