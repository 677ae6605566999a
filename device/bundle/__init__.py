"""The signed model bundle: a file comes in; a verified manifest, network and golden set go out.

Nothing reaches the interpreter before signature and digests hold. `slots` installs and rolls back.
Imported by inference, pipeline, commands, service, train (`ood_rule`) and export.
"""
