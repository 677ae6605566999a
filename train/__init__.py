"""The workstation: films and labels come in; trained runs with their evidence go out."""
