; HEADER_BLOCK_START
; BambuStudio 02.00.01.50
; model printing time: 2m 40s; total estimated time: 1h 6m 5s
; total layer number: 3
; total filament length [mm] : 277.19
; total filament volume [cm^3] : 666.73
; total filament weight [g] : 0.71
; model label id: 41
; filament_density: 1.07
; filament_diameter: 1.75
; max_z_height: 0.96
; filament: 1
; HEADER_BLOCK_END

; CONFIG_BLOCK_START
; bed_temperature_formula = by_first_filament
; chamber_temperatures = 48
; curr_bed_type = High Temp Plate
; extruder_colour = #24A0ED
; filament_colour = #EFEFEF
; filament_settings_id = "White ASA @Workbench 0.6"
; filament_type = ASA
; filament_vendor = "Own"
; hot_plate_temp = 94
; hot_plate_temp_initial_layer = 97
; initial_layer_print_height = 0.32
; layer_height = 0.32
; nozzle_diameter = 0.6
; nozzle_temperature = 262
; nozzle_temperature_initial_layer = 266
; printer_model = Workbench
; printer_settings_id = Workbench 0.6 nozzle
; printer_variant = 0.6
; single_extruder_multi_material = 0
; CONFIG_BLOCK_END

; EXECUTABLE_BLOCK_START
M73 P0 R66
M201 X9000 Y9000 Z400 E4000
; MACHINE_START_GCODE_START
M140 S97
M141 S48
M104 S266
G28
M190 S97
M109 S266
; MACHINE_START_GCODE_END
G90
M83
; CHANGE_LAYER
; Z_HEIGHT: 0.32
; LAYER_HEIGHT: 0.32
M73 L1
; start printing object, unique label id: 41
; FEATURE: Outer wall
; LINE_WIDTH: 0.62
G1 Z0.32 F720
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
; stop printing object, unique label id: 41
; CHANGE_LAYER
; Z_HEIGHT: 0.64
; LAYER_HEIGHT: 0.32
M73 L2
; start printing object, unique label id: 41
; FEATURE: Outer wall
; LINE_WIDTH: 0.62
G1 Z0.64 F720
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
; stop printing object, unique label id: 41
; CHANGE_LAYER
; Z_HEIGHT: 0.96
; LAYER_HEIGHT: 0.32
M73 L3
; start printing object, unique label id: 41
; FEATURE: Outer wall
; LINE_WIDTH: 0.62
G1 Z0.96 F720
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
; stop printing object, unique label id: 41
; MACHINE_END_GCODE_START
G1 Z30.96 F900
M104 S0
M140 S0
M141 S0
; MACHINE_END_GCODE_END
M73 P100 R0
; EXECUTABLE_BLOCK_END

